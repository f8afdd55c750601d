# What the scripts here share.

say() { printf '\n== %s\n' "$*"; }
has() { command -v "$1" >/dev/null; }

# Says that something cannot run here. (.ci/run says it once more, at the end.)
skip() {
    echo "skipped: $*"
    [ -z "${SKIPPED-}" ] || echo "- $*" >>"$SKIPPED"
}

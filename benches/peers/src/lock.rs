//! Which versions of the peers were compiled.

/// The version of a package in Cargo.lock: the newest (the last), where another package pins an older one.
pub fn version(package: &str) -> Option<&'static str> {
    const LOCK: &str = include_str!("../Cargo.lock");
    let entry = format!("name = \"{package}\"\nversion = \"");
    LOCK.rsplit_once(&entry).and_then(|(_, rest)| rest.split('"').next())
}

//! What an example has to say, at once.

use std::io::{self, Write};

/// Prints it, as far as the reader wants it: in `| head -1`, a line is enough.
pub(crate) fn print(page: &str) -> io::Result<()> {
    match io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

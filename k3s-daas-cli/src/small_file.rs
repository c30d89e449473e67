//! Files that people name: read whole, but never without end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What a file holds.
///
/// # Errors
/// I/O errors; [`io::ErrorKind::FileTooLarge`] if it is longer than 16 MiB, or never ends as `/dev/zero`.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?)
}

/// The same of a text.
///
/// # Errors
/// As [`read`], and [`io::ErrorKind::InvalidData`] if it is no UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8");
    String::from_utf8(read(path)?).map_err(no_text)
}

/// The same of what is open already.
///
/// # Errors
/// As [`read`].
pub fn read_from(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        let message = "it is longer than 16 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

const MAX_LEN: u64 = 16 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        let error = read_from(io::repeat(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let whole = read_from(io::repeat(0).take(MAX_LEN)).unwrap();
        assert_eq!(whole.len() as u64, MAX_LEN);
    }

    #[test]
    fn a_text_is_utf8() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a = \"ä\"").unwrap();
        assert_eq!(read_to_string(file.path()).unwrap(), "a = \"ä\"");
        std::fs::write(file.path(), b"a = \"\xe4\"").unwrap();
        let error = read_to_string(file.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

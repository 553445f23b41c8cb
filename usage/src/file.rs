//! Files of unknown length, read up to a limit: `/dev/zero` and a pipe that never ends are refused.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes of a file that people write, such as a matrix or a list of expectations.
pub const MOST_TEXT: u64 = 4 << 20;

/// Reads a file or a pipe of at most `most` bytes, whole MiB.
///
/// # Errors
/// Of the system, or that there is more.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(File::open(path)?, most)
}

/// Reads a file of at most [`MOST_TEXT`] bytes of UTF-8.
///
/// # Errors
/// Of the system, or that it is not UTF-8, or longer.
pub fn read_text(path: &Path) -> io::Result<String> {
    text(read(path, MOST_TEXT)?)
}

/// Reads to the end, `most` bytes or less.
///
/// # Errors
/// Of the reader, or that there is more.
pub fn read_all(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let what = format!("it is larger than {} MiB, the most that is read", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// The text of bytes.
///
/// # Errors
/// If they are not UTF-8.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_is_refused_in_words() {
        assert_eq!(read_all(io::repeat(b'x').take(1 << 20), 1 << 20).unwrap().len(), 1 << 20);
        let error = read_all(io::repeat(b'x'), 1 << 20).unwrap_err();
        let said = "it is larger than 1 MiB, the most that is read";
        assert_eq!(crate::system_error(&error), said);
        let error = text(vec![0xff]).unwrap_err();
        assert_eq!(crate::system_error(&error), "the data is not UTF-8 text");
    }
}

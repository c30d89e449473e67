//! The file of a blob: what it counts to, who holds it, and the sealed body.
//!
//! ```text
//! head  = "daasfile" ‖ length of the sealed body (u64) ‖ share (u32: its number + 1, or 0) ‖ 0 (12) ‖ hold
//! hold  = end (u64: Unix milliseconds; 0: free) ‖ length of the name (u64) ‖ name (64, padded with 0)
//! file  = head (112) ‖ sealed body ‖ 0 (to a multiple of 16) ‖ hold ‖ hold ‖ …
//! ```
//!
//! All numbers are little-endian. The body never changes once the file has its name. Holds change in
//! place, under the lock of the directory: of one that is there only the end, 8 bytes which no page's
//! boundary divides; of a new one the name first. So a process that dies leaves the old hold or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::lock::Share;
use crate::blob::{Holder, MAX_HOLDERS};

/// The file of a blob, open.
pub(super) struct BlobFile {
    file: File,
    /// Length of the file when it was opened.
    len: u64,
    head: Head,
}

/// What stands before the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Length of the sealed body, in bytes.
    pub(super) sealed_len: u64,
    /// What it counts to.
    pub(super) share: Option<Share>,
}

/// What is in the place of a blob.
pub(super) enum Found {
    Nothing,
    /// Something that is no such file, and what is wrong with it.
    Damaged(&'static str),
    /// Something that cannot be looked at: another's, or on a bad part of the disk.
    Unreadable(io::Error),
    File(BlobFile),
}

/// One who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) holder: Box<str>,
    pub(super) end_ms: u64,
    /// Where in the file it stands.
    place: u64,
}

impl BlobFile {
    /// Opens what is there, to change its holds if `to_change`.
    pub(super) fn open(path: &Path, to_change: bool) -> io::Result<Found> {
        // First: to open a pipe waits for somebody to write into it.
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Ok(Found::Damaged("it is not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        }
        let mut file = match OpenOptions::new().read(true).write(to_change).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) if is_its_own(&error) => return Ok(Found::Unreadable(error)),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let mut bytes = [0; Head::LEN];
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Found::Damaged("its file is cut short"));
            }
            Err(error) if is_its_own(&error) => return Ok(Found::Unreadable(error)),
            Err(error) => return Err(error),
        }
        let Some(head) = Head::parse(&bytes) else {
            return Ok(Found::Damaged("its file does not begin as a blob's does"));
        };
        let len = metadata.len();
        if head.end().is_none_or(|end| end > len) {
            return Ok(Found::Damaged("its file is cut short"));
        }
        Ok(Found::File(Self { file, len, head }))
    }

    /// What it says of itself.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The sealed body, of which the first bytes go to `first` and the others are returned.
    pub(super) fn body(&mut self, first: &mut [u8]) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(Head::LEN as u64))?;
        self.file.read_exact(first)?;
        let rest = self.head.sealed_len.saturating_sub(first.len() as u64);
        let mut sealed = Vec::with_capacity(usize::try_from(rest).unwrap_or(0));
        // A file that grows while it is read is not read for ever.
        (&mut self.file).take(rest).read_to_end(&mut sealed)?;
        Ok(sealed)
    }

    /// The holds, over or not; only under the lock do they stay as they are.
    pub(super) fn holds(&mut self) -> io::Result<Vec<Hold>> {
        let mut holds = Vec::new();
        for place in self.places() {
            let mut bytes = [0; HOLD];
            self.file.seek(SeekFrom::Start(place))?;
            self.file.read_exact(&mut bytes)?;
            holds.extend(Hold::parse(&bytes, place));
        }
        Ok(holds)
    }

    /// Gives a hold another end; 0 is none.
    pub(super) fn set_end(&mut self, hold: &Hold, end_ms: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(hold.place))?;
        self.file.write_all(&end_ms.to_le_bytes())
    }

    /// Adds a hold where none is, of which there are fewer than may be.
    pub(super) fn add(&mut self, holder: &str, end_ms: u64) -> io::Result<()> {
        let taken = self.holds()?;
        let is_free = |place: &u64| !taken.iter().any(|hold| hold.place == *place);
        let free = self.places().find(is_free);
        let place = free.unwrap_or_else(|| self.head.place(self.count()));
        let hold = hold_bytes(holder, end_ms);
        // Its end last: until then there is none.
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&[0; 8])?;
        self.file.write_all(&hold[8..])?;
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&hold[..8])?;
        self.len = self.len.max(place + HOLD as u64);
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Where holds may stand.
    fn places(&self) -> impl Iterator<Item = u64> + use<> {
        let head = self.head;
        (0..self.count()).map(move |index| head.place(index))
    }

    /// Of how many holds the file has the place; half of one that was being added counts for none.
    fn count(&self) -> u64 {
        let behind = self.len.saturating_sub(self.head.place(1)) / HOLD as u64;
        (1 + behind).min(MAX_HOLDERS as u64)
    }
}

impl Head {
    /// Its length in bytes, the first hold included.
    pub(super) const LEN: usize = FIRST_HOLD + HOLD;

    /// What a file begins with.
    pub(super) fn bytes(self, holder: &str, end_ms: u64) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.sealed_len.to_le_bytes());
        let share = self.share.map_or(0, |share| u32::from(share.number()) + 1);
        bytes[16..20].copy_from_slice(&share.to_le_bytes());
        bytes[FIRST_HOLD..].copy_from_slice(&hold_bytes(holder, end_ms));
        bytes
    }

    fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let share = u32::from_le_bytes(bytes[16..20].try_into().ok()?);
        let is_ours = bytes[..8] == *MAGIC && bytes[20..FIRST_HOLD].iter().all(|byte| *byte == 0);
        is_ours.then_some(())?;
        let share = match share.checked_sub(1) {
            Some(number) => Some(Share::new(u16::try_from(number).ok()?)),
            None => None,
        };
        let sealed_len = number(&bytes[8..16]);
        Some(Self { sealed_len, share })
    }

    /// Where the body ends.
    fn end(self) -> Option<u64> {
        // Room for holds behind it, too.
        let end = self.sealed_len.checked_add(Self::LEN as u64)?;
        (end < u64::MAX / 2).then_some(end)
    }

    /// Where the hold of this index stands.
    fn place(self, index: u64) -> u64 {
        match index.checked_sub(1) {
            None => FIRST_HOLD as u64,
            Some(index) => {
                let end = Self::LEN as u64 + self.sealed_len;
                end.next_multiple_of(16) + index * HOLD as u64
            }
        }
    }
}

impl Hold {
    fn parse(bytes: &[u8; HOLD], place: u64) -> Option<Self> {
        let end_ms = number(&bytes[..8]);
        let len = usize::try_from(number(&bytes[8..16])).ok()?;
        let name = bytes[16..].get(..len)?;
        let holder = std::str::from_utf8(name).ok()?;
        (end_ms != 0 && !holder.is_empty()).then(|| Self {
            holder: holder.into(),
            end_ms,
            place,
        })
    }
}

/// Whether it is this one file that is at fault, and not the store.
fn is_its_own(error: &io::Error) -> bool {
    // EIO, which has no kind.
    error.kind() == io::ErrorKind::PermissionDenied || error.raw_os_error() == Some(5)
}

fn hold_bytes(holder: &str, end_ms: u64) -> [u8; HOLD] {
    let name = holder.as_bytes();
    let mut bytes = [0; HOLD];
    bytes[..8].copy_from_slice(&end_ms.to_le_bytes());
    bytes[8..16].copy_from_slice(&(name.len() as u64).to_le_bytes());
    bytes[16..16 + name.len()].copy_from_slice(name);
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(bytes);
    u64::from_le_bytes(number)
}

const MAGIC: &[u8; 8] = b"daasfile";
const FIRST_HOLD: usize = 32;
const HOLD: usize = 16 + Holder::MAX_LEN;

//! Segments: stretches of the log, each a file of its own.
//!
//! A file is eight bytes that name its kind and version, the length of its header as u32 little-endian, the BCS of
//! the [`Header`], the zlib stream of the BCS of the [`Body`], and the BLAKE2b-256 of all that.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::{deflate, inflate};
use crate::crypto::{PublicKey, Signature, blake2b256, create_new_private, sync_directory};
use crate::ledger::local::failure::{BrokenLink, Failure};
use crate::ledger::local::journal::{CallRow, EventRow};
use crate::ledger::local::message::{CallLink, Genesis, SignedHead, event_link};
use crate::ledger::local::replay::{Log, number};
use crate::types::Digest;
use crate::wire::to_bcs;

/// What a segment is, before what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Of the ledger that it is a part of.
    pub(crate) genesis: Genesis,
    /// Sequence number of its first call.
    pub(crate) first: u64,
    /// Of its last.
    pub(crate) last: u64,
    /// Sequence number of the first event that one of its calls may have emitted.
    pub(crate) first_event: u64,
    /// How many events its calls emitted.
    pub(crate) events: u64,
    /// Time of its first call, Unix milliseconds.
    pub(crate) from_ms: u64,
    /// Of its last.
    pub(crate) to_ms: u64,
    /// The link before its first call.
    pub(crate) previous: Digest,
    /// The link after its last call and its events.
    pub(crate) link: Digest,
    /// Position of its first signed head.
    pub(crate) first_head: u64,
    /// How many signed heads it has: those for its first call less one up to its last less one.
    pub(crate) heads: u64,
    /// A signed head that stands for its last call or a later one.
    pub(crate) cover: SignedHead,
    /// Bytes of the body's BCS.
    pub(crate) body_len: u64,
    /// BLAKE2b-256 of the body's BCS.
    pub(crate) body: Digest,
}

/// What is in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) heads: Vec<SignedHead>,
    pub(crate) calls: Vec<ArchivedCall>,
}

/// A call with its events; all else follows from these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchivedCall {
    pub(crate) time_ms: u64,
    pub(crate) key: PublicKey,
    pub(crate) signature: Signature,
    /// BCS of the intent, then of the call.
    pub(crate) signed: Vec<u8>,
    /// BCS of each event.
    pub(crate) events: Vec<Vec<u8>>,
}

impl ArchivedCall {
    /// Bytes that it takes, about.
    pub(super) fn size(&self) -> usize {
        let events = self.events.iter().map(|event| event.len() + 2);
        112 + self.signed.len() + events.sum::<usize>()
    }
}

/// A segment that is whole in itself: its rows, as the ledger had them.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) heads: Vec<SignedHead>,
    calls: Vec<CallRow>,
    events: Vec<EventRow>,
}

/// A segment's file, of which the header was read.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
}

impl SegmentFile {
    /// All segments in some directories, in the order of their calls. Each is of this ledger, and none
    /// overlaps another.
    pub(crate) fn all(directories: &[PathBuf], genesis: &Genesis) -> Result<Vec<Self>, Failure> {
        let mut files = Vec::new();
        for directory in directories {
            let entries = fs::read_dir(directory).map_err(Failure::io("read the archive"))?;
            for entry in entries {
                let path = entry.map_err(Failure::io("read the archive"))?.path();
                if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                    files.push(Self::open(&path)?);
                }
            }
        }
        files.sort_by_key(|file| (file.header.first, file.header.last, file.path.clone()));
        for file in &files {
            if file.header.genesis != *genesis {
                return Err(file.broken("it is of another ledger").into());
            }
            if file.path.file_name() != Some(name_of(&file.header).as_ref()) {
                let Header { first, last, .. } = file.header;
                let why =
                    format!("it has calls {first} to {last}, which is not what its name says");
                return Err(file.broken(why).into());
            }
        }
        for pair in files.windows(2) {
            let (before, file) = (&pair[0], &pair[1]);
            if file.header.first <= before.header.last {
                let why = format!("it has calls that {} has too", before.name());
                return Err(file.broken(why).into());
            }
        }
        Ok(files)
    }

    fn open(path: &Path) -> Result<Self, Failure> {
        let broken = |why: String| Failure::from(broken(path, why));
        let read = || -> io::Result<Option<Header>> {
            let mut file = File::open(path)?;
            let mut start = [0; START];
            file.read_exact(&mut start)?;
            let Some(length) = header_length(&start) else {
                return Ok(None);
            };
            let mut header = vec![0; length];
            file.read_exact(&mut header)?;
            Ok(bcs::from_bytes(&header).ok())
        };
        match read() {
            Ok(Some(header)) => Ok(Self {
                path: path.into(),
                header,
            }),
            Ok(None) => Err(broken("it is no segment of version 1".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(broken("it is cut short".to_owned()))
            }
            Err(error) => Err(broken(format!("it cannot be read: {error}"))),
        }
    }

    /// Reads all of it.
    pub(crate) fn load(&self) -> Result<Segment, Failure> {
        let length = fs::metadata(&self.path).map_err(Failure::io("look at a segment"))?;
        if length.len() > MAX_FILE {
            return Err(self.broken("it is longer than a segment can be").into());
        }
        let bytes = fs::read(&self.path)
            .map_err(|error| self.broken(format!("it cannot be read: {error}")))?;
        let segment = Segment::from_bytes(&bytes).map_err(|why| self.broken(why))?;
        if segment.header != self.header {
            return Err(self.broken("it was changed while it was read").into());
        }
        Ok(segment)
    }

    pub(crate) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(crate) fn broken(&self, why: impl Into<String>) -> BrokenLink {
        broken(&self.path, why.into())
    }
}

impl Segment {
    /// A segment from the bytes of its file.
    ///
    /// # Errors
    /// In words, if it is not one, or not whole.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (start, rest) = bytes
            .split_first_chunk::<START>()
            .ok_or("it is cut short")?;
        let length = header_length(start).ok_or("it is no segment of version 1")?;
        let (whole, digest) = bytes
            .len()
            .checked_sub(DIGEST)
            .filter(|end| *end >= START + length)
            .and_then(|end| bytes.split_at_checked(end))
            .ok_or("it is cut short")?;
        if blake2b256(&[whole]).as_bytes()[..] != *digest {
            return Err("it was changed or cut: its bytes do not have the hash at its end".into());
        }
        let header: Header = bcs::from_bytes(&rest[..length]).map_err(|_| "its header is none")?;
        let body = inflate(&whole[START + length..], header.body_len.min(MAX_BODY))
            .filter(|body| body.len() as u64 == header.body_len)
            .ok_or("its body cannot be decompressed")?;
        if blake2b256(&[&body]) != header.body {
            return Err("its body is not the one that its header speaks of".into());
        }
        let body: Body = bcs::from_bytes(&body).map_err(|_| "its body is none")?;
        Self::of(header, body)
    }

    fn of(header: Header, body: Body) -> Result<Self, String> {
        let calls = body.calls.len() as u64;
        if calls == 0 || header.last.checked_sub(header.first) != Some(calls - 1) {
            return Err(format!("it has {calls} calls, which is not what it says"));
        }
        if body.heads.len() as u64 != header.heads {
            return Err("it does not have the signed heads that it says".to_owned());
        }
        let (mut link, mut next_event) = (header.previous, header.first_event);
        let mut segment = Self {
            heads: body.heads,
            calls: Vec::with_capacity(body.calls.len()),
            events: Vec::new(),
            header,
        };
        for (sequence, call) in (segment.header.first..).zip(body.calls) {
            let digest = blake2b256(&[&call.signed]);
            let sender = call.key.address();
            link = CallLink {
                sequence,
                time_ms: call.time_ms,
                sender,
                digest,
                key: &call.key,
                signature: &call.signature,
            }
            .after(link);
            segment.calls.push(CallRow {
                sequence: number(sequence),
                time_ms: call.time_ms,
                sender,
                key: call.key,
                signature: call.signature,
                digest,
                first_event: next_event,
                event_count: call.events.len() as u64,
                link,
                signed: call.signed,
            });
            for event in call.events {
                link = event_link(link, next_event, sequence, &event);
                segment.events.push(EventRow {
                    sequence: number(next_event),
                    call: number(sequence),
                    event,
                    link,
                });
                next_event += 1;
            }
        }
        let header = &segment.header;
        if link != header.link {
            return Err("its calls and events do not lead to the link that it ends with".into());
        }
        if next_event - header.first_event != header.events {
            return Err("it does not have the events that it says".to_owned());
        }
        let times = segment.calls.first().zip(segment.calls.last());
        if times.map(|(first, last)| (first.time_ms, last.time_ms))
            != Some((header.from_ms, header.to_ms))
        {
            return Err("its calls are not of the time that it says".to_owned());
        }
        Ok(segment)
    }

    /// Calls with their events.
    pub(crate) fn linked(self) -> impl Iterator<Item = (CallRow, Vec<EventRow>)> {
        let mut events = self.events.into_iter();
        self.calls.into_iter().map(move |call| {
            let count = usize::try_from(call.event_count).unwrap_or(usize::MAX);
            let of_call = events.by_ref().take(count).collect();
            (call, of_call)
        })
    }
}

impl Log for Segment {
    fn calls_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<CallRow, BrokenLink>>, Failure> {
        let from = self.calls.partition_point(|row| row.sequence <= sequence);
        let rows = self.calls[from..].iter().take(limit);
        Ok(rows.map(|row| Ok(row.clone())).collect())
    }

    fn events_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<EventRow, BrokenLink>>, Failure> {
        let from = self.events.partition_point(|row| row.sequence <= sequence);
        let rows = self.events[from..].iter().take(limit);
        Ok(rows.map(|row| Ok(row.clone())).collect())
    }
}

/// The bytes of a segment's file; its header's body length and hash are set here.
pub(crate) fn to_bytes(mut header: Header, body: &Body) -> (Header, Vec<u8>) {
    let body = to_bcs(body);
    header.body_len = body.len() as u64;
    header.body = blake2b256(&[&body]);
    let encoded = to_bcs(&header);
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(encoded);
    bytes.extend(deflate(&body));
    let digest = blake2b256(&[&bytes]);
    bytes.extend(digest.as_bytes());
    (header, bytes)
}

/// Puts a segment into its place, durable, unless something is there.
pub(super) fn store(directory: &Path, header: &Header, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let place = directory.join(name_of(header));
    let temporary = place.with_extension(UNFINISHED);
    let write = || -> io::Result<()> {
        let mut file = create_new_private(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        crash_point!(ArchiveSegmentWritten);
        if fs::symlink_metadata(&place).is_ok() {
            return Err(io::Error::other("somebody else wrote it meanwhile"));
        }
        fs::rename(&temporary, &place)?;
        sync_directory(directory)
    };
    write().map_err(Failure::io("write a segment of the archive"))?;
    crash_point!(ArchiveSegmentStored);
    Ok(place)
}

/// Removes what one who was killed had not finished. Nobody else writes here while the directory is locked.
pub(super) fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == UNFINISHED) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The name of a segment's file.
pub(crate) fn name_of(header: &Header) -> String {
    format!("{:020}-{:020}.{SUFFIX}", header.first, header.last)
}

fn header_length(start: &[u8; START]) -> Option<usize> {
    let (magic, length) = start.split_at(MAGIC.len());
    let length = u32::from_le_bytes(length.try_into().ok()?);
    (magic == MAGIC && length <= MAX_HEADER).then_some(length as usize)
}

fn broken(path: &Path, why: String) -> BrokenLink {
    let name = path.file_name().unwrap_or_default();
    BrokenLink::new("segment", name.to_string_lossy(), why)
}

/// Name and version of the format.
const MAGIC: &[u8; 8] = b"k3sdseg\x01";
const START: usize = MAGIC.len() + 4;
const DIGEST: usize = 32;

/// A genesis with very many accounts.
const MAX_HEADER: u32 = 16 << 20;

/// A call and what it emits take a megabyte at most, and a segment ends after the one that fills it.
const MAX_BODY: u64 = 64 << 20;
const MAX_FILE: u64 = 96 << 20;

const SUFFIX: &str = "segment";
const UNFINISHED: &str = "segment-unfinished";

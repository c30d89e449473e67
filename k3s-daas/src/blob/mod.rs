//! Bodies too big or too secret for the ledger.
//!
//! The ledger holds a salted hash ([`BlobHash`]); the [`Blob`] itself goes from one service to the
//! other through a [`BlobStore`]. What comes out of a store is worth nothing by itself: it counts
//! because its hash is the one on the ledger.
//!
//! A blob stays as long as somebody holds it. A hold has a name, the [`Holder`], and an end, so
//! that every step may be repeated after a crash: putting twice holds once, releasing twice
//! releases once, and what nobody came back for ends by itself.
//!
//! A store is bounded ([`Limits`]), and nobody can fill it alone: each token has a share of it, and
//! part of it is kept for answers, so that what was executed can be told.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "directory")]
mod directory;
mod memory;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;

use crate::crypto::{Blob, BlobHash, PrivateFileError, blake2b256};
use crate::types::{OtherVersion, RequestId, TokenId};

#[cfg(feature = "directory")]
pub use directory::*;
pub use memory::*;

/// Content-addressed bytes, shared by the services that talk through it.
///
/// Every method may be retried, and changes nothing if it fails (except that after
/// [`Error::Unavailable`] the outcome is unknown until the retry). Dropping a future before it is
/// done leaves the outcome unknown in the same way.
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync + 'static {
    /// Stores `blob` under its hash and holds it for `holder` until `keep` from now.
    ///
    /// If `holder` holds it already, the later end counts. Once this returns, another process that
    /// shares the store can fetch it. The part of the store that is kept for answers is not used.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::ShareFull`], [`Error::DiskFull`],
    /// [`Error::TooManyHolders`], [`Error::Unavailable`].
    async fn put(&self, blob: &Blob, holder: &Holder, keep: Duration) -> Result<BlobHash>;

    /// The same for the answer to a request, which may use all of the store: what is at most
    /// [`Limits::NOTICE_BYTES`] long the very last of it, so that at least a refusal can be told.
    ///
    /// # Errors
    /// As [`BlobStore::put`].
    async fn put_answer(&self, blob: &Blob, holder: &Holder, keep: AnswerKeep) -> Result<BlobHash>;

    /// The blob with this hash, verified against it.
    ///
    /// A blob that nobody holds any more may or may not be there still.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: certainly not in the store (never “could not look”).
    /// - [`Error::Corrupt`]: something is there, and it is not this blob.
    /// - [`Error::Unavailable`].
    async fn fetch(&self, hash: &BlobHash) -> Result<Blob>;

    /// The same, only if `holder` holds it now: a hash is public, what has it may be another's secret.
    ///
    /// # Errors
    /// As [`BlobStore::fetch`]; [`Error::NotFound`] also if it is there and `holder` does not hold it.
    async fn fetch_held(&self, hash: &BlobHash, holder: &Holder) -> Result<Blob>;

    /// Holds a stored blob for `holder` until `keep` from now, sooner or later than before.
    ///
    /// With the name under which it was put this is “release after”: the blob of a delivered read
    /// is retained for 60 s.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooManyHolders`], [`Error::DiskFull`], [`Error::Unavailable`].
    async fn retain(&self, hash: &BlobHash, holder: &Holder, keep: Duration) -> Result<()>;

    /// The same for an answer that nobody waits for any more: until `wanted` from now while half of what
    /// answers may use is free, in the store and in the share, and until `least` from now if not, which
    /// [releases](BlobStore::release) it if that is no time.
    ///
    /// # Errors
    /// As [`BlobStore::retain`].
    async fn retain_answer(
        &self,
        hash: &BlobHash,
        holder: &Holder,
        least: Duration,
        wanted: Duration,
    ) -> Result<()>;

    /// Ends the hold of `holder`; removes the blob if nobody else holds it.
    ///
    /// Nothing happens if there is no such hold or no such blob.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn release(&self, hash: &BlobHash, holder: &Holder) -> Result<()>;

    /// Ends the holds whose time has come, and removes what nobody holds and what crashes left.
    ///
    /// A service calls it every so often (30 s); a store that is full calls it by itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn sweep(&self) -> Result<Swept>;

    /// What is stored now, of what may be.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn usage(&self) -> Result<Usage>;
}

/// How long an answer is held, and what that survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerKeep {
    /// At least this long.
    pub least: Duration,
    /// This long, if that is longer, while half of what the answer may use is free, in the store and in
    /// the share.
    pub wanted: Duration,
    /// What it survives, if the store can do so much.
    pub durability: Durability,
}

/// What a put survives once it has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// The end of any process, kill -9 included, but not of the machine: enough for what can be asked again.
    Cached,
    /// Power failure: files and directories are synced. An admitted request stays answerable.
    Synced,
}

/// Name of a hold: who needs the blob. For a request's bodies,
/// [`Holder::for_request`].
///
/// 1 to 64 bytes of `a`–`z`, `0`–`9` and `-`. What stands before the first `-` is the share of the store
/// that the blobs which this holder puts count to; without a `-` they count to no share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(Box<str>);

impl Holder {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// A holder of this name.
    ///
    /// # Errors
    /// [`Error::MalformedHolder`].
    pub fn new(name: &str) -> Result<Self> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(allowed) {
            return Err(Error::MalformedHolder);
        }
        Ok(Self(name.into()))
    }

    /// Who holds the bodies of a request and of its answer: 24 hexadecimal digits of BLAKE2b-256 over the
    /// token, which are its share, `-`, and 32 over the token and the request ID, since a request ID is
    /// unique only within its token.
    #[must_use]
    pub fn for_request(token: TokenId, id: RequestId) -> Self {
        let digits = |parts: &[&[u8]], bytes| hex::encode(&blake2b256(parts).as_bytes()[..bytes]);
        let token = token.as_bytes();
        let share = digits(&[token], 12);
        let request = digits(&[token, id.to_string().as_bytes()], 16);
        Self(format!("{share}-{request}").into())
    }

    /// The share that blobs put by this holder count to.
    #[must_use]
    pub fn share(&self) -> Option<&str> {
        self.0.split_once('-').map(|(share, _)| share)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Holder {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// What a store accepts. Counted over all processes that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of all blobs together, as stored.
    pub max_bytes: u64,
    /// Number of blobs.
    pub max_blobs: u64,
    /// Bytes of one blob, its salt included.
    pub max_blob_bytes: u64,
    /// How much of bytes and number only answers may use, in percent; 25.
    pub answer_percent: u8,
    /// How much of bytes and number the holders of one share may use together, in percent; 25.
    pub share_percent: u8,
}

impl Limits {
    /// An answer up to this length, salt included, may use the last twentieth of the store and of its
    /// share, which longer ones leave free: a refusal has room when nothing else has.
    pub const NOTICE_BYTES: u64 = 4 << 10;

    /// Limits on bytes and number of all blobs together, and on the bytes of each.
    #[must_use]
    pub const fn new(max_bytes: u64, max_blobs: u64, max_blob_bytes: u64) -> Self {
        Self {
            max_bytes,
            max_blobs,
            max_blob_bytes,
            answer_percent: 25,
            share_percent: 25,
        }
    }

    /// Keeps another part of the store for answers, in percent; 0 keeps nothing, more than 100 is 100.
    #[must_use]
    pub const fn with_answer_percent(mut self, percent: u8) -> Self {
        self.answer_percent = percent;
        self
    }

    /// Gives each share another part of the store, in percent; 100 limits nobody.
    #[must_use]
    pub const fn with_share_percent(mut self, percent: u8) -> Self {
        self.share_percent = percent;
        self
    }

    fn check_blob(&self, blob: &Blob) -> Result<()> {
        let len = blob.as_bytes().len() as u64;
        if len > self.max_blob_bytes {
            return Err(Error::TooLarge {
                len,
                limit: self.max_blob_bytes,
            });
        }
        Ok(())
    }

    /// Whether one more blob, stored as `len` bytes, fits into the store as it is and into its share.
    fn check_room(&self, purpose: Purpose, now: &Occupied, len: u64) -> Result<()> {
        let percent = self.percent(purpose);
        if !self.whole().part(percent).fits(now.all, len) {
            return Err(Error::Full {
                bytes: now.all.bytes,
                blobs: now.all.blobs,
            });
        }
        match now.share {
            Some(share) if !self.share().part(percent).fits(share, len) => Err(Error::ShareFull {
                bytes: share.bytes,
                blobs: share.blobs,
            }),
            _ => Ok(()),
        }
    }

    /// How long an answer is held.
    fn answer_time(&self, now: &Occupied, least: Duration, wanted: Duration) -> Duration {
        let half = self.percent(Purpose::Answer) / 2;
        let is_roomy = self.whole().part(half).fits(now.all, 0)
            && now
                .share
                .is_none_or(|share| self.share().part(half).fits(share, 0));
        if is_roomy { least.max(wanted) } else { least }
    }

    /// How much may be used for something, in percent of the whole.
    fn percent(&self, purpose: Purpose) -> u8 {
        let kept = self.answer_percent.min(100);
        match purpose {
            Purpose::Payload => 100 - kept,
            Purpose::Answer => 100 - kept.min(NOTICE_PERCENT),
            Purpose::Notice => 100,
        }
    }

    fn whole(&self) -> Usage {
        Usage {
            bytes: self.max_bytes,
            blobs: self.max_blobs,
        }
    }

    fn share(&self) -> Usage {
        self.whole().part(self.share_percent.min(100))
    }
}

/// What a blob is put for, which says how much of the store it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Payload,
    Answer,
    /// A short answer.
    Notice,
}

impl Purpose {
    fn answer(blob: &Blob) -> Self {
        if blob.as_bytes().len() as u64 <= Limits::NOTICE_BYTES {
            Self::Notice
        } else {
            Self::Answer
        }
    }
}

/// What is used of a store, and of the share that a holder puts to.
#[derive(Debug, Clone, Copy, Default)]
struct Occupied {
    all: Usage,
    share: Option<Usage>,
}

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes of all blobs together, as stored.
    pub bytes: u64,
    /// Number of blobs.
    pub blobs: u64,
}

impl Usage {
    /// With one more blob of this length.
    fn plus(self, len: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_add(len),
            blobs: self.blobs.saturating_add(1),
        }
    }

    /// Without one.
    fn minus(self, len: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(len),
            blobs: self.blobs.saturating_sub(1),
        }
    }

    /// As a limit: so many percent of it.
    fn part(self, percent: u8) -> Self {
        let part = |whole: u64| {
            let part = u128::from(whole) * u128::from(percent) / 100;
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        Self {
            bytes: part(self.bytes),
            blobs: part(self.blobs),
        }
    }

    /// As a limit: whether one more blob of this length stays within it.
    fn fits(self, now: Self, len: u64) -> bool {
        now.blobs < self.blobs
            && now
                .bytes
                .checked_add(len)
                .is_some_and(|sum| sum <= self.bytes)
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Holds that had ended.
    pub holds: u64,
    /// Blobs that nobody held any more.
    pub blobs: u64,
    /// Unfinished writes that a crash left behind.
    pub orphans: u64,
}

/// The result of a [`BlobStore`]'s methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such blob.
    #[error("blob {hash} is not in the store")]
    NotFound {
        /// What was asked for.
        hash: BlobHash,
    },
    /// What is stored under this hash is not the blob.
    #[error("blob {hash} is corrupt: {reason}")]
    Corrupt {
        /// What was asked for.
        hash: BlobHash,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The store cannot be reached or cannot read or write now.
    #[error("the {store} blob store is unavailable")]
    Unavailable {
        /// Which kind of store, e.g. `directory`.
        store: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No room until other blobs are released.
    #[error("the blob store is full: {bytes} bytes in {blobs} blobs")]
    Full {
        /// Bytes stored.
        bytes: u64,
        /// Blobs stored.
        blobs: u64,
    },
    /// No room for this token until other blobs of its own are released; others have room.
    #[error("the token's share of the blob store is full: {bytes} bytes in {blobs} blobs")]
    ShareFull {
        /// Bytes stored that count to the share.
        bytes: u64,
        /// Blobs stored that count to it.
        blobs: u64,
    },
    /// The disk is full, or the user's quota of it, whatever the store's own limits.
    #[error("no space is left where the blobs are stored")]
    DiskFull {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A single blob over the limit.
    #[error("a blob of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length, the salt included.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob has at most 64 holders.
    #[error("blob {hash} has {MAX_HOLDERS} holders already")]
    TooManyHolders {
        /// The blob.
        hash: BlobHash,
    },
    /// Not the form of a [`Holder`].
    #[error("a holder is 1 to 64 bytes of a-z, 0-9 and -")]
    MalformedHolder,
    /// The store's key file cannot be used.
    #[error("the blob store's key file cannot be used")]
    Key {
        /// Why.
        #[source]
        source: PrivateFileError,
    },
    /// The store's key file is gone, is no key file, or has another key than the blobs are sealed with.
    #[error("the blob store's key cannot be used: {reason}")]
    WrongKey {
        /// What is wrong.
        reason: String,
    },
    /// It is kept in another version than this program's, which may have happened while it was open; it was left as it is.
    #[error(transparent)]
    Version(#[from] OtherVersion),
    /// The store cannot be opened as it is; its files are left alone.
    #[error("the blob store cannot be opened: {reason}")]
    Unusable {
        /// What is wrong and, where something can be done, what.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody repairing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Full { .. }
                | Self::ShareFull { .. }
                | Self::DiskFull { .. }
        )
    }
}

/// Bounds what one blob's bookkeeping can grow to; gateway and executors need a handful.
const MAX_HOLDERS: usize = 64;

/// What only short answers may use, in percent of the store and of a share.
const NOTICE_PERCENT: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_safe_file_names() {
        for name in ["a", "0192d3f0-7c1e-7a52-b5a6-3a7a1f6d0c11", &"x".repeat(64)] {
            assert_eq!(
                Holder::new(name).map(|h| h.to_string()).ok().as_deref(),
                Some(name)
            );
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "A",
            "a_b",
            "a b",
            "ä",
            "a\0",
            "a~1",
            &"x".repeat(65),
        ] {
            assert!(Holder::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn requests_are_holders_each_of_its_own() {
        let (id, token) = (RequestId::new(), TokenId::new([1; 32]));
        let holder = Holder::for_request(token, id);
        assert_eq!(Holder::new(holder.as_str()).ok(), Some(holder.clone()));
        let (other_token, other_id) = (TokenId::new([2; 32]), RequestId::new());
        assert_ne!(holder, Holder::for_request(other_token, id));
        assert_ne!(holder, Holder::for_request(token, other_id));
        // All of a token's count to one share.
        let share = holder.share();
        assert_eq!(share.map(str::len), Some(24));
        assert_eq!(Holder::for_request(token, other_id).share(), share);
        assert_ne!(Holder::for_request(other_token, id).share(), share);
        assert_eq!(Holder::new("h").ok().as_ref().and_then(Holder::share), None);
    }

    #[test]
    fn each_purpose_has_its_part() {
        let limits = Limits::new(1000, 100, 1000);
        let at = |bytes, share| Occupied {
            all: Usage { bytes, blobs: 0 },
            share: Some(Usage {
                bytes: share,
                blobs: 0,
            }),
        };
        for (purpose, all, share) in [
            (Purpose::Payload, 750, 187),
            (Purpose::Answer, 950, 237),
            (Purpose::Notice, 1000, 250),
        ] {
            assert!(limits.check_room(purpose, &at(all - 10, 0), 10).is_ok());
            let full = limits.check_room(purpose, &at(all - 9, 0), 10);
            assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");
            assert!(limits.check_room(purpose, &at(0, share - 10), 10).is_ok());
            let full = limits.check_room(purpose, &at(0, share - 9), 10);
            assert!(matches!(full, Err(Error::ShareFull { .. })), "{full:?}");
        }
        // Percentages out of their range limit nothing, and nothing overflows.
        let odd = Limits::new(u64::MAX, u64::MAX, 1)
            .with_answer_percent(255)
            .with_share_percent(255);
        assert!(odd.check_room(Purpose::Payload, &at(0, 0), 1).is_err());
        let most = at(u64::MAX - 1, u64::MAX - 1);
        assert!(odd.check_room(Purpose::Notice, &most, 1).is_ok());
        assert!(odd.check_room(Purpose::Notice, &most, 2).is_err());
    }

    #[test]
    fn only_what_may_pass_is_retryable() {
        let hash = BlobHash([7; 32]);
        let io = || Box::new(std::io::Error::other("disk"));
        assert!(
            Error::Unavailable {
                store: "directory",
                source: io()
            }
            .is_retryable()
        );
        assert!(Error::Full { bytes: 1, blobs: 1 }.is_retryable());
        assert!(Error::ShareFull { bytes: 1, blobs: 1 }.is_retryable());
        assert!(!Error::NotFound { hash }.is_retryable());
        assert!(!Error::Corrupt { hash, reason: "r" }.is_retryable());
        assert!(!Error::TooLarge { len: 2, limit: 1 }.is_retryable());
    }
}

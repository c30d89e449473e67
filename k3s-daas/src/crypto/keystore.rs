//! Keys in files: encrypted under a passphrase, or plain and marked for development.
//!
//! An encrypted key, one to a file, mode 0600:
//!
//! ```json
//! {
//!   "version": 1,
//!   "public_key": "<64 hex digits>",
//!   "comment": "owner",
//!   "kdf": {"algorithm": "argon2id", "memory_kib": 65536, "passes": 3, "lanes": 4,
//!           "salt": "<32 hex digits>", "check": "<32 hex digits>"},
//!   "cipher": {"algorithm": "xchacha20poly1305", "nonce": "<48 hex digits>",
//!              "ciphertext": "<96 hex digits>"}
//! }
//! ```
//!
//! The whole header is associated data of the cipher. `check` is a hash of the derived key: it
//! tells a wrong passphrase from an altered file, and helps a guesser no more than the
//! ciphertext does.

use std::fmt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::hash::{blake2b256, deserialize_bytes, random_array, serialize_bytes};
use super::private_file::{PrivateFileError, create_private, read_private, write_private};
use super::{Ed25519Signer, PublicKey};

/// An encrypted signing key, as it stands in its file. Nothing in it is secret by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    version: u32,
    public_key: PublicKey,
    comment: String,
    kdf: Kdf,
    cipher: Cipher,
}

impl KeyFile {
    /// Encrypts a key. Takes as long as `cost` says: with the default some 0.15 s of a core and
    /// 64 MiB, so services call it on a blocking thread.
    ///
    /// `comment` says what the key is for; anybody who has the file can read it.
    ///
    /// # Errors
    /// [`KeystoreError::EmptyPassphrase`], [`KeystoreError::CommentTooLong`] (256 bytes),
    /// [`KeystoreError::CostOutOfBounds`].
    pub fn encrypt(
        signer: &Ed25519Signer,
        comment: &str,
        passphrase: &Passphrase,
        cost: KdfCost,
    ) -> Result<Self, KeystoreError> {
        if passphrase.0.is_empty() {
            return Err(KeystoreError::EmptyPassphrase);
        }
        if comment.len() > MAX_COMMENT {
            return Err(KeystoreError::CommentTooLong);
        }
        let mut kdf = Kdf {
            algorithm: KdfAlgorithm::Argon2id,
            cost,
            salt: Bytes(random_array()),
            check: Bytes([0; 16]),
        };
        let derived = kdf.derive(passphrase)?;
        kdf.check = check_of(&derived);
        let mut file = Self {
            version: VERSION,
            public_key: signer.public_key(),
            comment: comment.to_owned(),
            kdf,
            cipher: Cipher {
                algorithm: CipherAlgorithm::XChaCha20Poly1305,
                nonce: Bytes(random_array()),
                ciphertext: Bytes([0; SEALED_SEED]),
            },
        };
        // Room for the tag from the start: a vector that grows leaves a copy of the key behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(SEALED_SEED));
        sealed.extend_from_slice(&*signer.seed());
        let nonce = XNonce::from(file.cipher.nonce.0);
        XChaCha20Poly1305::new((&*derived).into())
            .encrypt_in_place(&nonce, &file.associated_data(), &mut *sealed)
            .expect("48 bytes are within the cipher's limit");
        file.cipher.ciphertext.0.copy_from_slice(&sealed);
        Ok(file)
    }

    /// Decrypts the key. Takes as long as the file's cost says, at most some seconds.
    ///
    /// # Errors
    /// - [`KeystoreError::WrongPassphrase`].
    /// - [`KeystoreError::Altered`]: the passphrase is right, the file is not.
    /// - [`KeystoreError::CostOutOfBounds`]: the file asks for more than is reasonable.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Ed25519Signer, KeystoreError> {
        let derived = self.kdf.derive(passphrase)?;
        if check_of(&derived) != self.kdf.check {
            return Err(KeystoreError::WrongPassphrase);
        }
        let mut opened = Zeroizing::new(self.cipher.ciphertext.0.to_vec());
        let nonce = XNonce::from(self.cipher.nonce.0);
        XChaCha20Poly1305::new((&*derived).into())
            .decrypt_in_place(&nonce, &self.associated_data(), &mut *opened)
            .map_err(|_| KeystoreError::Altered)?;
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(&opened);
        let signer = Ed25519Signer::from_seed(*seed);
        if signer.public_key() != self.public_key {
            return Err(KeystoreError::Altered);
        }
        Ok(signer)
    }

    /// Reads a key file that nobody else can read.
    ///
    /// # Errors
    /// - [`KeystoreError::File`]: not there, or not private.
    /// - [`KeystoreError::DevelopmentKey`]: a development key, which only
    ///   [`load_development`] accepts.
    /// - [`KeystoreError::Malformed`], [`KeystoreError::UnknownVersion`].
    pub fn read(path: &Path) -> Result<Self, KeystoreError> {
        let text = read_private(path)?;
        let malformed = |error: serde_json::Error| KeystoreError::malformed(path, &error);
        let mark: Mark = serde_json::from_slice(&text).map_err(malformed)?;
        if mark.development_key.is_some() {
            return Err(KeystoreError::DevelopmentKey { path: path.into() });
        }
        match mark.version {
            Some(version) if version != VERSION => Err(KeystoreError::UnknownVersion {
                path: path.into(),
                version,
            }),
            _ => serde_json::from_slice(&text).map_err(malformed),
        }
    }

    /// Writes the file, mode 0600, replacing one that is there: after a change of passphrase.
    ///
    /// # Errors
    /// [`KeystoreError::File`].
    pub fn write(&self, path: &Path) -> Result<(), KeystoreError> {
        Ok(write_private(path, self.to_json().as_bytes())?)
    }

    /// Writes the file, mode 0600, unless there is one: a key is not to be lost by a typing error.
    ///
    /// # Errors
    /// [`KeystoreError::AlreadyExists`], [`KeystoreError::File`].
    pub fn create(&self, path: &Path) -> Result<(), KeystoreError> {
        if create_private(path, self.to_json().as_bytes())? {
            Ok(())
        } else {
            Err(KeystoreError::AlreadyExists { path: path.into() })
        }
    }

    /// The public key; true only once [`KeyFile::unlock`] has succeeded.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// What the key is for.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }

    fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("text and numbers are JSON");
        text.push('\n');
        text
    }

    fn associated_data(&self) -> Vec<u8> {
        let header = (
            "k3s_daas keystore",
            self.version,
            self.public_key,
            &self.comment,
            (
                self.kdf.cost.memory_kib,
                self.kdf.cost.passes,
                self.kdf.cost.lanes,
                &self.kdf.salt,
                &self.kdf.check,
            ),
        );
        bcs::to_bytes(&header).expect("a comment is shorter than BCS's limit")
    }
}

/// What a guess of the passphrase costs: the parameters of argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfCost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4, for where
    /// 2 GiB are too much.
    ///
    /// Some 0.15 s, which a person who typed a passphrase does not notice and a guesser pays for
    /// every guess; a key is unlocked once for a session of hours, never in a request's path.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };

    /// Other parameters: KiB of memory, passes over it, lanes.
    ///
    /// # Errors
    /// [`KeystoreError::CostOutOfBounds`] over 1 GiB, 16 passes, 16 lanes or 4 GiB in all passes
    /// together, and under argon2's own minimum (8 KiB for each lane, one pass).
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, KeystoreError> {
        let cost = Self {
            memory_kib,
            passes,
            lanes,
        };
        cost.params().map(|_| cost)
    }

    fn params(self) -> Result<Params, KeystoreError> {
        let out_of_bounds = || KeystoreError::CostOutOfBounds {
            memory_kib: self.memory_kib,
            passes: self.passes,
            lanes: self.lanes,
        };
        let work = u64::from(self.memory_kib) * u64::from(self.passes);
        if self.memory_kib > MAX_MEMORY_KIB
            || self.passes > MAX_PASSES
            || self.lanes > MAX_LANES
            || work > MAX_WORK_KIB
        {
            return Err(out_of_bounds());
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| out_of_bounds())
    }
}

impl Default for KdfCost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A passphrase, wiped when dropped. `Debug` does not show it, nor how long it is.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for Passphrase {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Makes a plain key for development at `path`, mode 0600, or loads the one that is there.
///
/// Processes that start together agree on one key. The file says what it is:
/// `{"development_key": true, "public_key", "comment", "seed"}`.
///
/// # Errors
/// As [`load_development`], and [`KeystoreError::CommentTooLong`].
pub fn load_or_create_development(
    path: &Path,
    comment: &str,
) -> Result<Ed25519Signer, KeystoreError> {
    if comment.len() > MAX_COMMENT {
        return Err(KeystoreError::CommentTooLong);
    }
    match load_development(path) {
        Err(KeystoreError::File(error)) if error.is_not_found() => {}
        done => return done,
    }
    let signer = Ed25519Signer::generate();
    let file = DevelopmentFile {
        development_key: true,
        public_key: signer.public_key(),
        comment: comment.to_owned(),
        seed: Seed(signer.seed()),
    };
    // As with the vector above; a comment of 256 bytes may be escaped to six times that.
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer_pretty(&mut *text, &file).expect("text is JSON");
    text.push(b'\n');
    create_private(path, &text)?;
    load_development(path)
}

/// Loads a plain key that is marked as a development key, and no other.
///
/// # Errors
/// - [`KeystoreError::File`]: not there, or not private.
/// - [`KeystoreError::NotDevelopmentKey`]: encrypted, or not marked.
/// - [`KeystoreError::Malformed`]; [`KeystoreError::Altered`] if its public key is another's.
pub fn load_development(path: &Path) -> Result<Ed25519Signer, KeystoreError> {
    let text = read_private(path)?;
    let malformed = |error: serde_json::Error| KeystoreError::malformed(path, &error);
    let mark: Mark = serde_json::from_slice(&text).map_err(malformed)?;
    if mark.development_key != Some(true) {
        return Err(KeystoreError::NotDevelopmentKey { path: path.into() });
    }
    let file: DevelopmentFile = serde_json::from_slice(&text).map_err(malformed)?;
    let signer = Ed25519Signer::from_seed(*file.seed.0);
    if signer.public_key() != file.public_key {
        return Err(KeystoreError::Altered);
    }
    Ok(signer)
}

/// Why a key could not be stored or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// The file is not there, not private, or cannot be written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// There is a file already, which is left as it is.
    #[error("{} exists already and is left as it is", .path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// Not a key file. What stands there instead is not repeated: it may be a key all the same.
    #[error("{} is not a key file, as line {line}, column {column} shows", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A key file of a later version of this program.
    #[error("{} is a key file of version {version}, and only {VERSION} is known", .path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A plain key where a real one is needed.
    #[error("{} holds a development key, which is accepted only by `daas dev`", .path.display())]
    DevelopmentKey {
        /// The file.
        path: PathBuf,
    },
    /// A real key where a development key is needed.
    #[error("{} is not marked as a development key", .path.display())]
    NotDevelopmentKey {
        /// The file.
        path: PathBuf,
    },
    /// Not the passphrase (or the file's key derivation was altered, which looks the same).
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// Nothing can be encrypted under nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The file is not the one that was written.
    #[error("the key file was altered or damaged")]
    Altered,
    /// Over 256 bytes.
    #[error("a comment is at most {MAX_COMMENT} bytes")]
    CommentTooLong,
    /// More (or less) than is reasonable; nothing was computed.
    #[error(
        "argon2id with {memory_kib} KiB, {passes} passes and {lanes} lanes is out of bounds \
         (1 GiB, 16 passes, 16 lanes, 4 GiB in all)"
    )]
    CostOutOfBounds {
        /// KiB of memory.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
}

impl KeystoreError {
    fn malformed(path: &Path, error: &serde_json::Error) -> Self {
        Self::Malformed {
            path: path.into(),
            line: error.line(),
            column: error.column(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kdf {
    algorithm: KdfAlgorithm,
    cost: KdfCost,
    salt: Bytes<16>,
    check: Bytes<16>,
}

impl Kdf {
    fn derive(&self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let params = self.cost.params()?;
        let mut derived = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &self.salt.0, &mut *derived)
            .map_err(|_| KeystoreError::CostOutOfBounds {
                memory_kib: self.cost.memory_kib,
                passes: self.cost.passes,
                lanes: self.cost.lanes,
            })?;
        Ok(derived)
    }
}

/// `Kdf` as JSON: one flat object. (`flatten` and `deny_unknown_fields` exclude each other.)
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatKdf {
    algorithm: KdfAlgorithm,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Bytes<16>,
    check: Bytes<16>,
}

impl Serialize for Kdf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FlatKdf {
            algorithm: self.algorithm,
            memory_kib: self.cost.memory_kib,
            passes: self.cost.passes,
            lanes: self.cost.lanes,
            salt: self.salt,
            check: self.check,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kdf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = FlatKdf::deserialize(deserializer)?;
        Ok(Self {
            algorithm: flat.algorithm,
            cost: KdfCost {
                memory_kib: flat.memory_kib,
                passes: flat.passes,
                lanes: flat.lanes,
            },
            salt: flat.salt,
            check: flat.check,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum KdfAlgorithm {
    #[serde(rename = "argon2id")]
    Argon2id,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    algorithm: CipherAlgorithm,
    nonce: Bytes<24>,
    ciphertext: Bytes<SEALED_SEED>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum CipherAlgorithm {
    #[serde(rename = "xchacha20poly1305")]
    XChaCha20Poly1305,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DevelopmentFile {
    development_key: bool,
    public_key: PublicKey,
    comment: String,
    seed: Seed,
}

/// What kind of file it is, read before anything else of it.
#[derive(Deserialize)]
struct Mark {
    version: Option<u32>,
    development_key: Option<bool>,
}

/// Bytes that are no secret, as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes("value", deserializer).map(Self)
    }
}

/// A private key as hex, leaving no copy on the heap on its way.
struct Seed(Zeroizing<[u8; 32]>);

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = Zeroizing::new([0; 64]);
        hex::encode_to_slice(self.0.as_slice(), &mut *digits).expect("64 digits fit into 64 bytes");
        serializer.serialize_str(std::str::from_utf8(&*digits).expect("hex digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes("seed", deserializer).map(|seed| Self(Zeroizing::new(seed)))
    }
}

fn check_of(derived: &Zeroizing<[u8; 32]>) -> Bytes<16> {
    let hash = blake2b256(&[b"k3s_daas keystore check", &**derived]);
    let mut check = [0; 16];
    check.copy_from_slice(&hash.as_bytes()[..16]);
    Bytes(check)
}

const VERSION: u32 = 1;
const SEALED_SEED: usize = 32 + 16;
const MAX_COMMENT: usize = 256;

// What a file may ask of this machine: anybody can write a number into it.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
const MAX_WORK_KIB: u64 = 4 << 20;

#[cfg(test)]
mod tests;

//! Encryption at rest: the key file, and what a sealed body looks like.
//!
//! ```text
//! body     = "daasblb1" ‖ nonce (24) ‖ XChaCha20-Poly1305(salt ‖ bytes; "daasblb1" ‖ hash)
//! key file = "k3s-daas blob key 1\n" ‖ 64 hex digits ‖ "\n"
//! ```

use std::path::Path;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{make_directory, unavailable, unusable, wrong_key};
use crate::blob::{Error, Result};
use crate::crypto::{BlobHash, blake2b256, create_private, random_array, read_private};

/// A key, ready to seal and open.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl Sealer {
    pub(super) fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        let cipher = XChaCha20Poly1305::new((&**key).into());
        Self { cipher }
    }

    /// Length of the sealed body of a blob of `len` bytes, its salt included.
    pub(super) fn sealed_len(len: u64) -> u64 {
        len + (HEADER + TAG) as u64
    }

    /// Counterpart of [`Sealer::sealed_len`]; none for what is too short to be one.
    pub(super) fn opened_len(len: u64) -> Option<u64> {
        len.checked_sub((HEADER + TAG) as u64)
    }

    /// Appends the sealed body to `file`.
    pub(super) fn seal(&self, hash: &BlobHash, plain: &[u8], file: &mut Vec<u8>) {
        // 24 random bytes never repeat; the same blob sealed twice gives unrelated files.
        let nonce: [u8; 24] = random_array();
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&nonce);
        let begin = file.len();
        file.extend_from_slice(plain);
        let tag = self
            .cipher
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &associated_data(hash),
                (&mut file[begin..]).into(),
            )
            .expect("no blob is as long as the cipher's limit of 256 GiB");
        file.extend_from_slice(&tag);
    }

    /// What was sealed for `hash`, of a body's header and what follows it, or what is wrong with it.
    pub(super) fn open(
        &self,
        hash: &BlobHash,
        header: &[u8; HEADER],
        mut sealed: Vec<u8>,
    ) -> Result<Vec<u8>, &'static str> {
        let (magic, nonce) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err("its body does not begin as a sealed one does");
        }
        let nonce: [u8; 24] = nonce.try_into().map_err(|_| "its nonce is cut short")?;
        self.cipher
            .decrypt_in_place(&XNonce::from(nonce), &associated_data(hash), &mut sealed)
            .map_err(|_| "its file was altered, or sealed as another blob or with another key")?;
        Ok(sealed)
    }
}

/// Reads the key file; if there is none and `may_create`, makes one.
///
/// Of processes that start together, one makes the key and all read that one.
pub(super) fn load_or_create_key(
    root: &Path,
    path: &Path,
    may_create: bool,
) -> Result<Zeroizing<[u8; 32]>> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let refuse_inside = |directory: &Path| {
        let resolved = |path: &Path| std::fs::canonicalize(path).map_err(unavailable);
        if resolved(directory)?.starts_with(resolved(root)?) {
            return unusable(format!(
                "its key file {} is inside it: whoever copies the blobs would have the key",
                path.display()
            ));
        }
        Ok(())
    };
    // Before anything is made, and again when all of the path can be resolved.
    let existing = parent.ancestors().find(|ancestor| ancestor.exists());
    refuse_inside(existing.unwrap_or(Path::new(".")))?;
    make_directory(parent)?;
    refuse_inside(parent)?;
    match read_private(path) {
        Ok(text) => return parse_key(path, &text),
        Err(error) if !error.is_not_found() => return Err(Error::Key { source: error }),
        Err(_) if may_create => {}
        Err(_) => {
            return wrong_key(format!(
                "{} is gone, and {} cannot be read without it",
                path.display(),
                root.display()
            ));
        }
    }
    let key = Zeroizing::new(random_array::<32>());
    let text = key_text(&key);
    create_private(path, &text).map_err(|source| Error::Key { source })?;
    let text = read_private(path).map_err(|source| Error::Key { source })?;
    parse_key(path, &text)
}

/// What tells keys apart without telling anything about them.
pub(super) fn key_id(key: &Zeroizing<[u8; 32]>) -> String {
    let id = blake2b256(&[b"k3s_daas blob key id", &**key]);
    hex::encode(&id.as_bytes()[..16])
}

fn key_text(key: &Zeroizing<[u8; 32]>) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(vec![0; KEY_LINE.len() + 64 + 1]);
    text[..KEY_LINE.len()].copy_from_slice(KEY_LINE);
    hex::encode_to_slice(
        key.as_slice(),
        &mut text[KEY_LINE.len()..KEY_LINE.len() + 64],
    )
    .expect("64 digits fit into 64 bytes");
    text[KEY_LINE.len() + 64] = b'\n';
    text
}

fn parse_key(path: &Path, text: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let digits = text.strip_prefix(KEY_LINE).map(<[u8]>::trim_ascii_end);
    match digits.map(|digits| hex::decode_to_slice(digits, &mut *key)) {
        Some(Ok(())) => Ok(key),
        _ => wrong_key(format!("{} is not a blob key file", path.display())),
    }
}

fn associated_data(hash: &BlobHash) -> [u8; MAGIC.len() + 32] {
    let mut data = [0; MAGIC.len() + 32];
    data[..MAGIC.len()].copy_from_slice(MAGIC);
    data[MAGIC.len()..].copy_from_slice(hash.as_bytes());
    data
}

const MAGIC: &[u8; 8] = b"daasblb1";
/// Length of what stands before the ciphertext.
pub(super) const HEADER: usize = MAGIC.len() + 24;
const TAG: usize = 16;
const KEY_LINE: &[u8] = b"k3s-daas blob key 1\n";

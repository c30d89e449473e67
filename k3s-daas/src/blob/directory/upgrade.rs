//! From the first format, in which each blob was a directory, to the present one.
//!
//! ```text
//! DIR/blobs/<hash>/body           the sealed blob
//! DIR/blobs/<hash>/share-<number> empty: which share it counts to, 4 hexadecimal digits
//! DIR/blobs/<hash>/<holder>~<ms>  empty: a hold, and when it ends (Unix milliseconds)
//! ```

use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::file::{BlobFile, Found, Head};
use super::lock::Share;
use super::{SEALED, remove, unavailable, write_error};
use crate::blob::{Holder, Result};
use crate::crypto::{BlobHash, create_new_private, sync_directory};

/// Writes each blob once more; what one did that died in it is done again. Under the lock, before any use.
pub(super) fn upgrade(root: &Path) -> Result<()> {
    let entries = match fs::read_dir(root.join(OLD)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(error)),
    };
    let sealed = root.join(SEALED);
    for entry in entries {
        let entry = entry.map_err(unavailable)?;
        let name = entry.file_name();
        if let Some(name) = name.to_str()
            && name.parse::<BlobHash>().is_ok()
        {
            upgrade_blob(&entry.path(), &sealed.join(name))?;
        }
    }
    sync_directory(&sealed).map_err(unavailable)
}

/// Removes what the format before left, once it is another's.
pub(super) fn remove_old(root: &Path) {
    remove(&root.join(OLD));
}

fn upgrade_blob(old: &Path, new: &Path) -> Result<()> {
    // One without a body or a holder is what a crash left; of one that cannot be read nobody knows.
    let body = match fs::read(old.join("body")) {
        Ok(body) => body,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(error)),
    };
    let mut share = None;
    let mut holds = Vec::new();
    for entry in fs::read_dir(old).map_err(unavailable)? {
        let name = entry.map_err(unavailable)?.file_name();
        let name = name.to_string_lossy();
        if let Some((holder, end_ms)) = name.split_once('~') {
            if let (Ok(holder), Ok(end_ms)) = (Holder::new(holder), end_ms.parse::<u64>()) {
                holds.push((holder, end_ms));
            }
        } else if let Some(digits) = name.strip_prefix("share-") {
            share = u16::from_str_radix(digits, 16).ok().map(Share::new);
        }
    }
    let mut holds = holds.into_iter();
    let Some((holder, end_ms)) = holds.next() else {
        return Ok(());
    };
    remove(new);
    let head = Head {
        sealed_len: body.len() as u64,
        share,
    };
    let mut file = create_new_private(new).map_err(write_error)?;
    let bytes = [&head.bytes(holder.as_str(), end_ms)[..], &body].concat();
    file.write_all(&bytes).map_err(write_error)?;
    if let Found::File(mut file) = BlobFile::open(new, true).map_err(unavailable)? {
        for (holder, end_ms) in holds {
            file.add(holder.as_str(), end_ms).map_err(write_error)?;
        }
    }
    file.sync_all().map_err(write_error)
}

const OLD: &str = "blobs";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::super::{DirectoryBlobStore, FORMAT_FILE, FORMAT_NAME, OLD_FORMAT};
    use super::*;
    use crate::blob::BlobStore as _;
    use crate::crypto::Blob;

    /// The same store as the version before would have written it.
    fn as_it_was(root: &Path, hash: &BlobHash, holders: &[Holder]) {
        let new = root.join(SEALED).join(hash.to_string());
        let file = fs::read(&new).unwrap();
        let old = root.join(OLD).join(hash.to_string());
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("body"), &file[Head::LEN..]).unwrap();
        for holder in holders {
            fs::write(old.join(format!("{holder}~99999999999999")), "").unwrap();
        }
        let share = Share::of(&holders[0]).unwrap().number();
        fs::write(old.join(format!("share-{share:04x}")), "").unwrap();
        fs::remove_file(new).unwrap();
        let format = fs::read_to_string(root.join(FORMAT_FILE)).unwrap();
        let (_, rest) = format.split_once('\n').unwrap();
        let text = format!("{FORMAT_NAME}{OLD_FORMAT}\n{rest}");
        fs::write(root.join(FORMAT_FILE), text).unwrap();
    }

    #[tokio::test]
    async fn what_the_first_format_held_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("blobs");
        let open = || {
            let key = dir.path().join("blob.key");
            DirectoryBlobStore::builder(&root, key).open().unwrap()
        };
        let holders = ["mine-1", "mine-2", "other-3"].map(|name| Holder::new(name).unwrap());
        let store = open();
        let blob = Blob::seal([7; 1000]);
        let hash = store
            .put(&blob, &holders[0], Duration::from_secs(99))
            .await
            .unwrap();
        let usage = store.usage().await.unwrap();
        drop(store);
        as_it_was(&root, &hash, &holders);
        // One that cannot be read keeps it from being used, and costs nothing.
        let unread = root.join(OLD).join(BlobHash([2; 32]).to_string());
        fs::create_dir_all(unread.join("body")).unwrap();
        let key = dir.path().join("blob.key");
        let refused = DirectoryBlobStore::builder(&root, key).open();
        assert!(refused.is_err(), "{refused:?}");
        assert!(root.join(OLD).join(hash.to_string()).join("body").exists());
        fs::remove_dir_all(unread).unwrap();
        // And one that a crash left without a holder.
        fs::create_dir(root.join(OLD).join(BlobHash([1; 32]).to_string())).unwrap();
        let store = open();
        assert_eq!(store.usage().await.unwrap(), usage);
        for holder in &holders {
            assert_eq!(store.fetch_held(&hash, holder).await.unwrap(), blob);
        }
        assert!(!root.join(OLD).exists());
        for holder in &holders {
            store.release(&hash, holder).await.unwrap();
        }
        assert!(store.fetch(&hash).await.is_err());
        assert_eq!(store.usage().await.unwrap().bytes, 0);
        drop(store);
        open();
    }
}

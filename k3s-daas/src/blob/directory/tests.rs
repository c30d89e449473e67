#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::io::Seek as _;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::blob::conformance;
use crate::crypto::{Salt, write_private};

const LONG: Duration = Duration::from_secs(3600);

/// A directory for a store, and a place for its key.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("blobs")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("blob.key")
    }

    fn builder(&self) -> DirectoryBlobStoreBuilder {
        DirectoryBlobStore::builder(self.root(), self.key()).with_durability(Durability::Cached)
    }

    fn open(&self) -> DirectoryBlobStore {
        self.builder().open().unwrap()
    }

    fn body(&self, hash: &BlobHash) -> PathBuf {
        self.root().join(SEALED).join(hash.to_string())
    }

    /// Every path below the root.
    fn paths(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut to_do = vec![self.root()];
        while let Some(path) = to_do.pop() {
            if path.is_dir() {
                to_do.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            }
            found.push(path);
        }
        found
    }

    /// What there really is.
    fn counted(&self) -> Usage {
        let mut usage = Usage::default();
        for path in self.paths() {
            if path.starts_with(self.root().join(SEALED))
                && let Found::File(file) = BlobFile::open(&path, false).unwrap()
            {
                usage = usage.plus(file.head().sealed_len);
            }
        }
        usage
    }

    fn refusal(&self) -> Error {
        self.builder().open().unwrap_err()
    }
}

fn holder() -> Holder {
    Holder::new("h").unwrap()
}

async fn put(store: &DirectoryBlobStore, body: &[u8]) -> (Blob, BlobHash) {
    let blob = Blob::seal(body);
    let hash = store.put(&blob, &holder(), LONG).await.unwrap();
    (blob, hash)
}

#[track_caller]
fn assert_corrupt(fetched: Result<Blob>) {
    assert!(matches!(fetched, Err(Error::Corrupt { .. })), "{fetched:?}");
}

#[track_caller]
fn assert_unusable(error: &Error, says: &str) {
    assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
}

#[track_caller]
fn assert_wrong_key(error: &Error, says: &str) {
    assert!(matches!(error, Error::WrongKey { .. }), "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    for durability in [Durability::Cached, Durability::Synced] {
        let mut places = Vec::new();
        conformance::run(async |limits| {
            let place = Place::new();
            let builder = place.builder().with_durability(durability);
            let store = builder.with_limits(limits).open().unwrap();
            places.push(place);
            store
        })
        .await;
        for place in places {
            assert_eq!(
                fs::read_dir(place.root().join(TEMPORARY)).unwrap().count(),
                0
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_opened_it_agree() {
    let place = Place::new();
    conformance::shared(Arc::new(place.open()), Arc::new(place.open())).await;
    let usage = place.open().usage().await.unwrap();
    assert_eq!(usage, place.counted());
}

#[tokio::test]
async fn limits_count_what_others_put() {
    let place = Place::new();
    let limits = Limits::new(1 << 20, 2, 1 << 20).with_answer_percent(0);
    let one = place.builder().with_limits(limits).open().unwrap();
    let other = place.builder().with_limits(limits).open().unwrap();
    put(&one, b"1").await;
    put(&other, b"2").await;
    for store in [&one, &other] {
        let refused = store.put(&Blob::seal(b"3"), &holder(), LONG).await;
        assert!(
            matches!(refused, Err(Error::Full { blobs: 2, .. })),
            "{refused:?}"
        );
    }
    assert_eq!(
        fs::read_dir(place.root().join(TEMPORARY)).unwrap().count(),
        0
    );
}

#[tokio::test]
async fn survives_its_process() {
    let place = Place::new();
    let store = place.open();
    let (blob, hash) = put(&store, b"body").await;
    let usage = store.usage().await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.fetch(&hash).await.unwrap(), blob);
    assert_eq!(store.usage().await.unwrap(), usage);
}

#[tokio::test]
async fn a_directory_that_is_removed_while_open_is_missed() {
    let place = Place::new();
    let store = place.open();
    store.usage().await.unwrap();
    fs::remove_dir_all(place.root()).unwrap();
    // What counts as its state, for who asks whether it is well, is no memory of what it was.
    let missed = store.usage().await.unwrap_err();
    assert!(matches!(missed, Error::Unavailable { .. }), "{missed}");
}

#[tokio::test]
async fn a_changed_byte_is_found() {
    let place = Place::new();
    let store = place.open();
    let (blob, hash) = put(&store, b"body").await;
    let path = place.body(&hash);
    let good = fs::read(&path).unwrap();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        fs::write(&path, bad).unwrap();
        match store.fetch(&hash).await {
            // Share and holds say nothing of the body.
            Ok(fetched) if (16..Head::LEN).contains(&index) => assert_eq!(fetched, blob),
            fetched => assert_corrupt(fetched),
        }
    }
    fs::write(&path, &good).unwrap();
    store.fetch(&hash).await.unwrap();
}

#[tokio::test]
async fn a_cut_file_is_found_and_a_grown_one_is_whole() {
    let place = Place::new();
    let store = place.open();
    let (blob, hash) = put(&store, b"body").await;
    let path = place.body(&hash);
    let good = fs::read(&path).unwrap();
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        assert_corrupt(store.fetch(&hash).await);
    }
    // What follows are holds, and half of one is none.
    fs::write(&path, [&good[..], &[b'x'; 50]].concat()).unwrap();
    assert_eq!(store.fetch(&hash).await.unwrap(), blob);
    let other = Holder::new("other").unwrap();
    store.retain(&hash, &other, LONG).await.unwrap();
    assert_eq!(store.fetch_held(&hash, &other).await.unwrap(), blob);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_corrupt(store.fetch(&hash).await);
}

#[tokio::test]
async fn a_blob_in_the_place_of_another_is_found() {
    let place = Place::new();
    let store = place.open();
    let (_, one) = put(&store, b"allow").await;
    let (_, other) = put(&store, b"never").await;
    fs::copy(place.body(&other), place.body(&one)).unwrap();
    assert_corrupt(store.fetch(&one).await);
    store.fetch(&other).await.unwrap();
}

#[tokio::test]
async fn a_huge_file_is_not_read() {
    let place = Place::new();
    let limits = Limits::new(1 << 20, 10, 1000);
    let store = place.builder().with_limits(limits).open().unwrap();
    let (blob, hash) = put(&store, b"body").await;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(place.body(&hash))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(store.fetch(&hash).await.unwrap(), blob);
    store.retain(&hash, &holder(), LONG).await.unwrap();
    file.seek(io::SeekFrom::Start(8)).unwrap();
    file.write_all(&(1_u64 << 39).to_le_bytes()).unwrap();
    let fetched = store.fetch(&hash).await;
    assert!(
        matches!(fetched, Err(Error::TooLarge { .. })),
        "{fetched:?}"
    );
}

#[tokio::test]
async fn putting_again_heals() {
    let place = Place::new();
    let store = place.open();
    let (blob, hash) = put(&store, b"body").await;
    for bad in [&b"short"[..], &[0; 500]] {
        fs::write(place.body(&hash), bad).unwrap();
        let other = Holder::new("other").unwrap();
        store.put(&blob, &other, LONG).await.unwrap();
        assert_eq!(store.fetch(&hash).await.unwrap(), blob);
        assert_eq!(place.open().usage().await.unwrap(), place.counted());
    }
    fs::remove_file(place.body(&hash)).unwrap();
    assert!(store.fetch(&hash).await.is_err());
    store.put(&blob, &holder(), LONG).await.unwrap();
    assert_eq!(store.fetch(&hash).await.unwrap(), blob);
}

#[tokio::test]
async fn bodies_do_not_stand_in_the_files() {
    let place = Place::new();
    let store = place.open();
    let marked = b"apiVersion: v1 kind: Secret hunter2 ".repeat(50);
    let (blob, _) = put(&store, &marked).await;
    let key = fs::read_to_string(place.key()).unwrap();
    let key = hex::decode(key.lines().nth(1).unwrap()).unwrap();
    let salt = blob.salt();
    let needles = [&marked[..20], salt.as_bytes(), b"hunter2", &key];
    let mut read = 0;
    for path in place.paths().into_iter().filter(|path| path.is_file()) {
        let bytes = fs::read(&path).unwrap();
        for needle in needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{}", path.display());
        }
        read += bytes.len();
    }
    assert!(read > marked.len());
    let text = format!("{store:?} {:?}", store.fetch(&blob.hash()).await);
    assert!(
        !text.contains("hunter2") && !text.contains(&hex::encode(key)),
        "{text}"
    );
}

#[tokio::test]
async fn the_same_blob_is_never_sealed_alike() {
    let blob = Blob::new(Salt::new([1; 32]), b"body");
    let place = Place::new();
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let store = place.open();
        let hash = store.put(&blob, &holder(), LONG).await.unwrap();
        assert!(seen.insert(fs::read(place.body(&hash)).unwrap()));
        store.release(&hash, &holder()).await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let store = place.open();
    put(&store, b"body").await;
    let mut paths = place.paths();
    assert!(paths.len() >= 6, "{paths:?}");
    paths.push(place.key());
    for path in paths {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", path.display());
    }
    for path in [place.key(), place.root()] {
        let private = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = place.refusal();
        let text = match &error {
            Error::Key { source } => source.to_string(),
            other => other.to_string(),
        };
        assert!(text.contains("chmod"), "{text}");
        fs::set_permissions(&path, private).unwrap();
    }
    place.open();
}

#[tokio::test]
async fn another_key_is_refused_at_the_door() {
    let place = Place::new();
    put(&place.open(), b"body").await;
    let before = place.paths();
    let good = fs::read(place.key()).unwrap();

    fs::rename(place.key(), place.dir.path().join("away")).unwrap();
    assert_wrong_key(&place.refusal(), "is gone");
    assert!(!place.key().exists(), "no key is made for blobs of another");

    let other = Place::new();
    other.open();
    fs::copy(other.key(), place.key()).unwrap();
    assert_wrong_key(&place.refusal(), "another key");

    for garbled in [
        &b""[..],
        b"k3s-daas blob key 1\n",
        &good[..good.len() - 3],
        &[&good[..], b"00"].concat(),
        &good[20..],
    ] {
        write_private(&place.key(), garbled).unwrap();
        assert_wrong_key(&place.refusal(), "is not a blob key file");
    }
    write_private(&place.key(), &good).unwrap();
    place.open();
    assert_eq!(place.paths(), before, "refusals change nothing");
}

#[test]
fn the_key_stays_outside() {
    let place = Place::new();
    for inside in [place.root().join("key"), place.root().join("deep/key")] {
        let error = DirectoryBlobStore::builder(place.root(), inside)
            .open()
            .unwrap_err();
        assert_unusable(&error, "is inside it");
    }
    // And not by a detour either.
    let detour = place.dir.path().join("detour");
    std::os::unix::fs::symlink(place.root(), &detour).unwrap();
    let error = DirectoryBlobStore::builder(place.root(), detour.join("key")).open();
    assert_unusable(&error.unwrap_err(), "is inside it");
}

#[test]
fn other_directories_are_left_alone() {
    let place = Place::new();
    make_directory(&place.root()).unwrap();
    fs::write(place.root().join("thesis.txt"), "years of work").unwrap();
    assert_unusable(&place.refusal(), "thesis.txt");
    assert_eq!(place.paths().len(), 2, "nothing was made in it");
    assert!(!place.key().exists());

    let place = Place::new();
    fs::write(place.root(), "a file").unwrap();
    assert_unusable(&place.refusal(), "is not a directory");
}

#[test]
fn later_formats_are_refused() {
    let place = Place::new();
    place.open();
    let format = place.root().join(FORMAT_FILE);
    let text = fs::read_to_string(&format).unwrap();
    for other in ["garbage".into(), String::new(), text.replace("2", "x")] {
        fs::write(&format, other).unwrap();
        assert_unusable(&place.refusal(), "format");
    }
    for version in [0, 3, 99] {
        let other = text.replace("blobs 2", &format!("blobs {version}"));
        fs::write(&format, &other).unwrap();
        let refused = place.refusal();
        assert!(
            matches!(&refused, Error::Version(other) if other.found == version && other.known == 2),
            "{refused:?}"
        );
        assert_eq!(fs::read_to_string(&format).unwrap(), other);
    }
}

#[tokio::test]
async fn a_store_that_becomes_another_version_while_it_is_open_is_left_alone() {
    let place = Place::new();
    let store = place.open();
    let blob = Blob::seal([7; 100]);
    let keep = Duration::from_secs(99);
    store.put(&blob, &holder(), keep).await.unwrap();
    let format = place.root().join(FORMAT_FILE);
    let text = fs::read_to_string(&format).unwrap();
    let names = || fs::read_dir(place.root().join(SEALED)).unwrap().count();
    let before = names();
    write_private(&format, text.replace("blobs 2", "blobs 3").as_bytes()).unwrap();
    let another = Blob::seal([8; 100]);
    let put = store.put(&another, &holder(), keep).await;
    let released = store.release(&blob.hash(), &holder()).await;
    for refused in [put.map(drop), released] {
        assert!(
            matches!(&refused, Err(Error::Version(other)) if other.is_newer()),
            "{refused:?}"
        );
    }
    assert_eq!(names(), before);
    // The same version written anew is no other.
    write_private(&format, text.as_bytes()).unwrap();
    store.put(&another, &holder(), keep).await.unwrap();
}

#[tokio::test]
async fn processes_that_start_together_agree_on_the_key() {
    let place = Place::new();
    let stores: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| place.open())).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for store in &stores {
        let (blob, hash) = put(store, b"body").await;
        for other in &stores {
            assert_eq!(other.fetch(&hash).await.unwrap(), blob);
        }
    }
}

#[tokio::test]
async fn a_lost_directory_is_no_empty_one() {
    let place = Place::new();
    let store = place.open();
    let (_, hash) = put(&store, b"body").await;
    let away = place.dir.path().join("away");
    fs::rename(place.root(), &away).unwrap();
    let unavailable = |error| matches!(error, Error::Unavailable { .. });
    assert!(unavailable(store.fetch(&hash).await.unwrap_err()));
    assert!(unavailable(
        store.retain(&hash, &holder(), LONG).await.unwrap_err()
    ));
    assert!(unavailable(
        store.release(&hash, &holder()).await.unwrap_err()
    ));
    assert!(unavailable(store.sweep().await.unwrap_err()));
    let put = store.put(&Blob::seal(b"2"), &holder(), LONG).await;
    assert!(unavailable(put.unwrap_err()));
    fs::rename(&away, place.root()).unwrap();
    store.fetch(&hash).await.unwrap();
}

#[tokio::test]
async fn what_crashes_left_is_swept_once_it_is_old() {
    let place = Place::new();
    let store = place.open();
    let orphan = place.root().join(TEMPORARY).join("00ff");
    make_directory(&orphan).unwrap();
    fs::write(orphan.join("body"), "half").unwrap();
    assert_eq!(store.sweep().await.unwrap().orphans, 0, "may be in use");
    let old = SystemTime::now() - ORPHANED_AFTER - Duration::from_secs(1);
    File::open(&orphan).unwrap().set_modified(old).unwrap();
    assert_eq!(store.sweep().await.unwrap().orphans, 1);
    assert!(!orphan.exists());
}

#[tokio::test]
async fn a_doubtful_count_is_made_again() {
    let place = Place::new();
    let store = place.open();
    put(&store, b"body").await;
    let expected = place.counted();
    // As a process leaves it that dies in the middle of a change, or a machine that loses power.
    for record in [
        [2u64.to_le_bytes(), [0; 8], [0; 8]].concat(),
        vec![],
        vec![1; 23],
    ] {
        fs::write(place.root().join(LOCK_FILE), record).unwrap();
        assert_eq!(store.usage().await.unwrap(), expected);
    }
    // Settled but wrong, from before a power failure: found when the next process starts.
    let wrong = [1u64.to_le_bytes(), [9; 8], [9; 8]].concat();
    fs::write(place.root().join(LOCK_FILE), wrong).unwrap();
    assert_ne!(store.usage().await.unwrap(), expected);
    assert_eq!(place.open().usage().await.unwrap(), expected);
    assert_eq!(store.usage().await.unwrap(), expected);
}

#[tokio::test]
async fn shares_are_counted_again_too() {
    let place = Place::new();
    let limits = Limits::new(1 << 20, 8, 1 << 20).with_answer_percent(0);
    let open = || place.builder().with_limits(limits).open().unwrap();
    let [mine, other] = ["mine-1", "other-1"].map(|name| Holder::new(name).unwrap());
    let store = open();
    let first = Blob::seal(b"1");
    store.put(&first, &mine, LONG).await.unwrap();
    store.put(&Blob::seal(b"2"), &mine, LONG).await.unwrap();
    let lock = place.root().join(LOCK_FILE);
    for damage in [vec![], [2u64.to_le_bytes(), [0; 8], [0; 8]].concat()] {
        fs::write(&lock, damage).unwrap();
        let refused = store.put(&Blob::seal(b"3"), &mine, LONG).await;
        assert!(
            matches!(refused, Err(Error::ShareFull { blobs: 2, .. })),
            "{refused:?}"
        );
    }
    drop(store);
    let store = open();
    let refused = store.put(&Blob::seal(b"3"), &mine, LONG).await;
    assert!(
        matches!(refused, Err(Error::ShareFull { .. })),
        "{refused:?}"
    );
    store.put(&Blob::seal(b"3"), &other, LONG).await.unwrap();
    store.release(&first.hash(), &mine).await.unwrap();
    store.put(&Blob::seal(b"4"), &mine, LONG).await.unwrap();
}

#[tokio::test]
async fn strange_files_disturb_nobody() {
    let place = Place::new();
    let store = place.open();
    let (blob, hash) = put(&store, b"body").await;
    let usage = store.usage().await.unwrap();
    fs::write(place.root().join(SEALED).join(".DS_Store"), "?").unwrap();
    make_directory(&place.root().join(SEALED).join("lost+found")).unwrap();
    fs::write(place.body(&hash).with_file_name("h~soon"), "").unwrap();
    let stray = place.root().join(TEMPORARY).join("stray");
    fs::write(&stray, "?").unwrap();
    let old = SystemTime::now() - ORPHANED_AFTER - Duration::from_secs(1);
    File::open(&stray).unwrap().set_modified(old).unwrap();
    assert_eq!(store.sweep().await.unwrap().blobs, 0);
    assert!(!stray.exists());
    assert_eq!(place.open().usage().await.unwrap(), usage);
    assert_eq!(store.fetch(&hash).await.unwrap(), blob);
    store.release(&hash, &holder()).await.unwrap();
    assert!(matches!(
        store.fetch(&hash).await,
        Err(Error::NotFound { .. })
    ));
}

/// Neither a pipe, which nobody ever writes into, nor a link to itself stands in the way of the others.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_stops_nobody() {
    let place = Place::new();
    let store = place.open();
    let (blob, hash) = put(&store, b"body").await;
    let usage = store.usage().await.unwrap();
    let pipe = place.body(&BlobHash([0xab; 32]));
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let name = BlobHash([0xac; 32]);
    std::os::unix::fs::symlink(name.to_string(), place.body(&name)).unwrap();
    let elsewhere = place.body(&BlobHash([0xad; 32]));
    std::os::unix::fs::symlink(place.body(&hash), &elsewhere).unwrap();
    fs::write(place.root().join(LOCK_FILE), "").unwrap();
    assert_eq!(
        store.usage().await.unwrap(),
        usage,
        "they count for nothing"
    );
    for strange in [0xab, 0xac, 0xad] {
        assert_corrupt(store.fetch(&BlobHash([strange; 32])).await);
    }
    assert_eq!(place.open().usage().await.unwrap(), usage);
    assert_eq!(store.sweep().await.unwrap().blobs, 3);
    assert!(!pipe.exists());
    assert_eq!(store.fetch(&hash).await.unwrap(), blob);
}

/// Any sequence of calls, on two handles by turns, does what a table of holds would.
#[test]
fn behaves_like_a_table() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let calls = proptest::collection::vec((0..5u8, 0..4u8, 0..3u8, 0..2usize), 1..60);
    proptest!(ProptestConfig::with_cases(64), |(calls in calls)| {
        let place = Place::new();
        let stores = [place.open(), place.open()];
        let mut table: HashMap<u8, HashSet<u8>> = HashMap::new();
        for (call, seed, name, handle) in calls {
            let store = &stores[handle];
            let blob = Blob::new(Salt::new([seed; 32]), vec![seed; 20]);
            let holder = Holder::new(&format!("h{name}")).unwrap();
            let hash = blob.hash();
            runtime.block_on(async {
                match call {
                    0 => {
                        store.put(&blob, &holder, LONG).await.unwrap();
                        table.entry(seed).or_default().insert(name);
                    }
                    1 => {
                        let retained = store.retain(&hash, &holder, LONG).await;
                        assert_eq!(retained.is_ok(), table.contains_key(&seed));
                        if let Some(names) = table.get_mut(&seed) {
                            names.insert(name);
                        }
                    }
                    2 | 3 => {
                        store.release(&hash, &holder).await.unwrap();
                        if let Some(names) = table.get_mut(&seed) {
                            names.remove(&name);
                            if names.is_empty() {
                                table.remove(&seed);
                            }
                        }
                    }
                    _ => {
                        store.sweep().await.unwrap();
                    }
                }
                match store.fetch(&hash).await {
                    Ok(fetched) => {
                        assert_eq!(fetched, blob);
                        assert!(table.contains_key(&seed));
                    }
                    Err(Error::NotFound { .. }) => assert!(!table.contains_key(&seed)),
                    Err(other) => panic!("{other:?}"),
                }
            });
        }
        let usage = runtime.block_on(stores[0].usage()).unwrap();
        prop_assert_eq!(usage, place.counted());
        prop_assert_eq!(usage.blobs, table.len() as u64);
    });
}

/// Processes are killed in the middle of their work, again and again; what they were told was
/// stored is there, everything there is whole, and the count is right.
#[tokio::test]
async fn killed_processes_lose_and_spoil_nothing() {
    let place = Place::new();
    let store = place.open();
    for round in 0..6u64 {
        let mut children: Vec<_> = (0..2)
            .map(|index| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "blob::directory::tests::child"])
                    .env(CHILD, place.dir.path())
                    .env(
                        "CHILD_LOG",
                        place.dir.path().join(format!("log-{round}-{index}")),
                    )
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let log = place.dir.path().join(format!("log-{round}-0"));
        let started = Instant::now();
        while fs::metadata(&log).map_or(0, |log| log.len()) < 65 * 40 {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the child does nothing"
            );
            std::thread::sleep(Duration::from_millis(2 + round));
        }
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(
            store.usage().await.unwrap(),
            place.counted(),
            "round {round}"
        );
    }

    let mut kept = 0;
    for entry in fs::read_dir(place.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("log-")
        {
            continue;
        }
        let log = fs::read_to_string(path).unwrap();
        // The last line may be half of one.
        let (log, _) = log.rsplit_once('\n').unwrap_or_default();
        let released: HashSet<_> = log
            .lines()
            .filter_map(|line| line.strip_prefix('-'))
            .collect();
        for hash in log.lines().filter_map(|line| line.strip_prefix('+')) {
            if !released.contains(hash) {
                store.fetch(&hash.parse().unwrap()).await.unwrap();
                kept += 1;
            }
        }
    }
    assert!(kept > 50, "{kept}");
    for entry in fs::read_dir(place.root().join(SEALED)).unwrap() {
        let hash = entry.unwrap().file_name().into_string().unwrap();
        store.fetch(&hash.parse().unwrap()).await.unwrap();
    }
}

/// The child process of the test above: puts and releases until it is killed, and writes down what it was
/// told. Without its variable it is nobody's child and does nothing.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let mut log = File::create(std::env::var_os("CHILD_LOG").unwrap()).unwrap();
    let store = DirectoryBlobStore::builder(dir.join("blobs"), dir.join("blob.key"))
        .with_durability(Durability::Cached)
        .open()
        .unwrap();
    loop {
        let (_, kept) = put(&store, &[1; 3000]).await;
        log.write_all(format!("+{kept}\n").as_bytes()).unwrap();
        let (_, gone) = put(&store, &[2; 3000]).await;
        let lines = format!("+{gone}\n-{gone}\n");
        log.write_all(lines.as_bytes()).unwrap();
        store.release(&gone, &holder()).await.unwrap();
        store.retain(&kept, &holder(), LONG * 2).await.unwrap();
    }
}

const CHILD: &str = "K3S_DAAS_BLOB_CHILD";

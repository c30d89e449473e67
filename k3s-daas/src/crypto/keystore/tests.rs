#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// The least that argon2 allows, for speed.
fn cheap() -> KdfCost {
    KdfCost::new(32, 1, 1).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from(text.to_owned())
}

fn key_file() -> (Ed25519Signer, KeyFile) {
    let signer = Ed25519Signer::generate();
    let file = KeyFile::encrypt(&signer, "owner", &passphrase("correct horse"), cheap()).unwrap();
    (signer, file)
}

#[test]
fn what_was_written_unlocks() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("owner.json");
    let (signer, file) = key_file();
    file.create(&path).unwrap();
    let read = KeyFile::read(&path).unwrap();
    assert_eq!(read, file);
    assert_eq!(
        (read.public_key(), read.comment()),
        (signer.public_key(), "owner")
    );
    let unlocked = read.unlock(&passphrase("correct horse")).unwrap();
    assert_eq!(*unlocked.seed(), *signer.seed());
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing left behind"
    );
}

#[test]
fn the_default_cost_works() {
    let signer = Ed25519Signer::generate();
    let file = KeyFile::encrypt(&signer, "", &passphrase("p"), KdfCost::default()).unwrap();
    let unlocked = file.unlock(&passphrase("p")).unwrap();
    assert_eq!(unlocked.public_key(), signer.public_key());
}

/// Against the reference implementation, asked through Python's argon2-cffi.
#[test]
fn the_kdf_is_argon2id() {
    let kdf = Kdf {
        algorithm: KdfAlgorithm::Argon2id,
        cost: KdfCost::new(64, 2, 2).unwrap(),
        salt: Bytes(*b"saltsaltsaltsalt"),
        check: Bytes([0; 16]),
    };
    let derived = kdf.derive(&passphrase("password")).unwrap();
    assert_eq!(hex::encode(*derived), ARGON2ID);
}

#[test]
fn a_wrong_passphrase_is_named() {
    let (_, file) = key_file();
    for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
        let error = file.unlock(&passphrase(wrong)).unwrap_err();
        assert!(matches!(error, KeystoreError::WrongPassphrase), "{error:?}");
    }
}

#[test]
fn an_empty_passphrase_encrypts_nothing() {
    let signer = Ed25519Signer::generate();
    let error = KeyFile::encrypt(&signer, "", &passphrase(""), cheap()).unwrap_err();
    assert!(matches!(error, KeystoreError::EmptyPassphrase));
    let comment = "x".repeat(257);
    let error = KeyFile::encrypt(&signer, &comment, &passphrase("p"), cheap()).unwrap_err();
    assert!(matches!(error, KeystoreError::CommentTooLong));
}

/// Every single field of the file, changed by one step, is noticed.
#[test]
fn an_altered_file_does_not_unlock() {
    let (_, file) = key_file();
    let original = serde_json::to_value(&file).unwrap();
    let mut tried = 0;
    for pointer in [
        "/public_key",
        "/comment",
        "/kdf/memory_kib",
        "/kdf/passes",
        "/kdf/lanes",
        "/kdf/salt",
        "/kdf/check",
        "/cipher/nonce",
        "/cipher/ciphertext",
    ] {
        let mut altered = original.clone();
        let field = altered.pointer_mut(pointer).unwrap();
        *field = match field {
            Value::Number(n) => json!(n.as_u64().unwrap() + 1),
            Value::String(text) => {
                let last = if text.ends_with('0') { '1' } else { '0' };
                json!(format!("{}{last}", &text[..text.len() - 1]))
            }
            other => panic!("{other}"),
        };
        assert_ne!(altered, original);
        let altered: KeyFile = serde_json::from_value(altered).unwrap();
        let error = altered.unlock(&passphrase("correct horse")).unwrap_err();
        // Where the derived key depends on it, it looks like another passphrase.
        let derives = pointer.starts_with("/kdf/");
        match error {
            KeystoreError::WrongPassphrase if derives => {}
            KeystoreError::Altered if !derives => {}
            KeystoreError::CostOutOfBounds { .. } if pointer == "/kdf/lanes" => {}
            other => panic!("{pointer}: {other:?}"),
        }
        tried += 1;
    }
    assert_eq!(tried, 9);
}

#[test]
fn a_file_cannot_ask_for_the_moon() {
    let (_, file) = key_file();
    for (field, value) in [
        ("memory_kib", u32::MAX),
        ("memory_kib", (1 << 20) + 1),
        ("memory_kib", 0),
        ("passes", u32::MAX),
        ("passes", 17),
        ("passes", 0),
        ("lanes", u32::MAX),
        ("lanes", 17),
        ("lanes", 0),
    ] {
        let mut greedy = serde_json::to_value(&file).unwrap();
        greedy["kdf"][field] = json!(value);
        let greedy: KeyFile = serde_json::from_value(greedy).unwrap();
        let error = greedy.unlock(&passphrase("correct horse")).unwrap_err();
        assert!(
            matches!(error, KeystoreError::CostOutOfBounds { .. }),
            "{field} {value}: {error:?}"
        );
    }
    // Each within its bound, together over.
    assert!(KdfCost::new(1 << 20, 5, 4).is_err());
    assert!(KdfCost::new(1 << 20, 4, 4).is_ok());
}

#[test]
fn what_is_not_a_key_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("key.json");
    let (_, file) = key_file();
    let good = serde_json::to_value(&file).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut altered = good.clone();
        *altered.pointer_mut(pointer).unwrap() = value;
        altered
    };
    let mut more = good.clone();
    more["extra"] = json!(1);
    let mut less = good.clone();
    less.as_object_mut().unwrap().remove("cipher");
    for (why, text) in [
        ("empty", String::new()),
        ("not JSON", "seal_abc".into()),
        ("an array", "[]".into()),
        (
            "another KDF",
            with("/kdf/algorithm", json!("scrypt")).to_string(),
        ),
        (
            "another cipher",
            with("/cipher/algorithm", json!("aes")).to_string(),
        ),
        (
            "a short nonce",
            with("/cipher/nonce", json!("00")).to_string(),
        ),
        (
            "a long ciphertext",
            with("/cipher/ciphertext", json!("00".repeat(49))).to_string(),
        ),
        ("something more", more.to_string()),
        ("something missing", less.to_string()),
        ("twice", format!("{good}{good}")),
    ] {
        write_private(&path, text.as_bytes()).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert!(
            matches!(error, KeystoreError::Malformed { .. }),
            "{why}: {error:?}"
        );
        assert!(load_development(&path).is_err(), "{why}");
    }
    write_private(&path, with("/version", json!(2)).to_string().as_bytes()).unwrap();
    let error = KeyFile::read(&path).unwrap_err();
    assert!(matches!(
        error,
        KeystoreError::UnknownVersion { version: 2, .. }
    ));
}

#[test]
fn errors_do_not_repeat_what_they_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("key.json");
    for text in [
        r#"{"version": "hunter2"}"#,
        r#"{"development_key": "hunter2"}"#,
        r#"{"development_key": true, "seed": "hunter2", "comment": "", "public_key": "00"}"#,
        "hunter2",
    ] {
        write_private(&path, text.as_bytes()).unwrap();
        for error in [
            KeyFile::read(&path).unwrap_err(),
            load_development(&path).unwrap_err(),
        ] {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn an_existing_key_is_not_lost() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("owner.json");
    let (_, first) = key_file();
    let (_, second) = key_file();
    first.create(&path).unwrap();
    let error = second.create(&path).unwrap_err();
    assert!(matches!(error, KeystoreError::AlreadyExists { .. }));
    assert_eq!(KeyFile::read(&path).unwrap(), first);
    second.write(&path).unwrap();
    assert_eq!(KeyFile::read(&path).unwrap(), second);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing left behind"
    );
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = TempDir::new().unwrap();
    let path = dir.path().join("owner.json");
    key_file().1.create(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    for open in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{open:o}: {error}");
    }
    for private in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(private)).unwrap();
        KeyFile::read(&path).unwrap();
    }
}

#[test]
fn the_key_does_not_stand_in_the_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("owner.json");
    let signer = Ed25519Signer::from_seed([0x5a; 32]);
    KeyFile::encrypt(&signer, "owner", &passphrase("hunter2"), cheap())
        .unwrap()
        .create(&path)
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("5a5a") && !text.contains("hunter2"),
        "{text}"
    );
    // The same key under the same passphrase: nothing but key and comment repeats.
    let other = KeyFile::encrypt(&signer, "owner", &passphrase("hunter2"), cheap()).unwrap();
    let first = KeyFile::read(&path).unwrap();
    assert_ne!(first.kdf.salt, other.kdf.salt);
    assert_ne!(first.cipher.nonce, other.cipher.nonce);
    assert_ne!(first.cipher.ciphertext, other.cipher.ciphertext);
}

#[test]
fn debug_shows_no_passphrase() {
    let text = format!("{:?} {:#?}", passphrase("hunter2"), passphrase("hunter2"));
    assert_eq!(text, "Passphrase(..) Passphrase(..)");
}

#[test]
fn development_keys_are_marked_and_kept_apart() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("admin.json");
    let made = load_or_create_development(&path, "admin").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["development_key"], json!(true));
    assert_eq!(file["comment"], json!("admin"));
    let again = load_or_create_development(&path, "other").unwrap();
    assert_eq!(*again.seed(), *made.seed());
    assert_eq!(*load_development(&path).unwrap().seed(), *made.seed());
    let error = KeyFile::read(&path).unwrap_err();
    assert!(matches!(error, KeystoreError::DevelopmentKey { .. }));

    let real = dir.path().join("owner.json");
    key_file().1.create(&real).unwrap();
    for error in [
        load_development(&real).unwrap_err(),
        load_or_create_development(&real, "owner").unwrap_err(),
    ] {
        assert!(
            matches!(error, KeystoreError::NotDevelopmentKey { .. }),
            "{error:?}"
        );
    }
    let unmarked = text.replace("\"development_key\": true", "\"development_key\": false");
    write_private(&real, unmarked.as_bytes()).unwrap();
    assert!(matches!(
        load_development(&real),
        Err(KeystoreError::NotDevelopmentKey { .. })
    ));
    assert!(matches!(
        KeyFile::read(&real),
        Err(KeystoreError::DevelopmentKey { .. })
    ));
}

#[test]
fn a_development_key_is_whole_private_and_its_own() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("admin.json");
    let missing = load_development(&path).unwrap_err();
    assert!(matches!(missing, KeystoreError::File(ref error) if error.is_not_found()));
    load_or_create_development(&path, "admin").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    file["public_key"] = json!("11".repeat(32));
    write_private(&path, file.to_string().as_bytes()).unwrap();
    assert!(matches!(
        load_development(&path),
        Err(KeystoreError::Altered)
    ));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load_or_create_development(&path, "admin").unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn processes_that_start_together_agree_on_a_development_key() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("admin.json");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| load_or_create_development(&path, "admin").unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        keys.iter()
            .all(|key| key.public_key() == keys[0].public_key())
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing left behind"
    );
}

const ARGON2ID: &str = "313937b85d0048df1b3e3cd6384a92cb1c11392714b94d3e4a11b242e1e7de95";

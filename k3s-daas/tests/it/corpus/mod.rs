//! What the fuzz targets do with their corpora (`fuzz/corpus`), and with what they ever found.
//!
//! `DAAS_UPDATE_GOLDEN=1` writes the inputs anew that every corpus begins with.

use std::fs;
use std::path::{Path, PathBuf};

// The code of the targets; how it is fuzzed is `ci/fuzz.sh`.
#[allow(unreachable_pub)]
#[path = "../../../../fuzz/src/targets/mod.rs"]
mod targets;

mod seeds;

/// Nothing is planted here.
const PLANTED: bool = false;

#[test]
fn wire() {
    replay("wire", targets::wire::run);
}

#[test]
fn credential() {
    replay("credential", targets::credential::run);
}

#[test]
fn path() {
    replay("path", targets::path::run);
}

#[test]
fn http() {
    replay("http", targets::http::run);
}

#[test]
fn contract() {
    replay("contract", targets::contract::run);
}

#[test]
fn every_corpus_has_its_seeds() {
    for (target, inputs) in seeds::all() {
        for (number, input) in inputs.iter().enumerate() {
            let file = corpus(target).join(format!("seed-{number:02}"));
            if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
                fs::create_dir_all(corpus(target)).unwrap();
                fs::write(&file, input).unwrap();
            }
            assert_eq!(&fs::read(&file).unwrap(), input, "{}", file.display());
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let mut inputs = 0;
    for entry in fs::read_dir(corpus(target)).unwrap() {
        run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{target} has no corpus");
}

fn corpus(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("../fuzz/corpus").join(target)
}

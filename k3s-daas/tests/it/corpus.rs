//! What the fuzz targets do with their corpora (`fuzz/corpus`), and with what they ever found.

use std::fs;
use std::path::Path;

// The code of the targets; how it is fuzzed is `ci/fuzz.sh`.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

/// Nothing is planted here.
const PLANTED: bool = false;

#[test]
fn wire() {
    replay("wire", targets::wire::run);
}

#[test]
fn credential() {
    replay("credential", targets::credential::run);
    for example in targets::credential::examples() {
        targets::credential::run(&example);
    }
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

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus.join(target)).unwrap() {
        run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{target} has no corpus");
}

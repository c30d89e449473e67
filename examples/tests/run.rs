//! Every example runs and says what it promises.

use std::process::Command;

#[test]
fn request_by_hand() {
    run(
        env!("CARGO_BIN_EXE_request_by_hand"),
        &[
            "is list of pods",
            "admitted as event",
            "refused as event",
            "code 6",
        ],
    );
}

#[test]
fn custom_executor() {
    run(
        env!("CARGO_BIN_EXE_custom_executor"),
        &["executed create for seal:0x", "answered 201", "sprocket"],
    );
}

#[test]
fn embedded_gateway() {
    run(
        env!("CARGO_BIN_EXE_embedded_gateway"),
        &[
            "recorded, or it did not happen",
            "configmaps/colours: 200",
            "secrets/colours: 403",
            "\"kind\":\"Status\"",
        ],
    );
}

#[test]
fn verify_trail() {
    run(
        env!("CARGO_BIN_EXE_verify_trail"),
        &["verified", "after one byte was changed"],
    );
}

#[track_caller]
fn run(binary: &str, says: &[&str]) {
    let output = Command::new(binary)
        .output()
        .expect("the example is built beside the test");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for text in says {
        assert!(stdout.contains(text), "no {text:?} in\n{stdout}\n{stderr}");
    }
}

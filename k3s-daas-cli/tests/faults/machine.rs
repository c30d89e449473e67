//! The machine that a service runs on, whose disk and clock the test has in its hand.
//!
//! A small library that is preloaded into the process (`machine.c`, compiled when the test runs) stands between it and
//! the system: no rights are needed for it, and other processes have the disk as it is.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What one process has for a machine.
pub struct Machine {
    orders: PathBuf,
    file: File,
    under: PathBuf,
}

/// What can be wrong with it, by its place among the orders; 0 is nothing.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// The error of every write below the directory, and of all that would make something there.
    Write = 0,
    /// The error of every sync.
    Sync = 1,
    /// Milliseconds that a sync takes longer.
    SyncTakes = 2,
    /// Milliseconds that the clock is ahead, or behind if it is less than nothing.
    Clock = 3,
}

impl Machine {
    /// The variable that says what its disk is: all whose path begins with this.
    pub const DISK: &str = "FAULTS_UNDER";

    /// One on which nothing is wrong; `under` is the directory whose disk it has.
    pub fn new(orders: PathBuf, under: &Path) -> Self {
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&orders);
        let file = file.unwrap();
        file.write_all_at(&[0; 32], 0).unwrap();
        Self {
            orders,
            file,
            under: under.to_owned(),
        }
    }

    pub fn set(&self, order: Order, value: i64) {
        let place = 8 * order as u64;
        self.file.write_all_at(&value.to_ne_bytes(), place).unwrap();
    }

    /// The environment of a process that runs on it.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", library().to_owned()),
            ("FAULTS_ORDERS", self.orders.clone()),
            (Self::DISK, self.under.clone()),
        ]
    }
}

/// Compiled once in a run of the tests; the linker of Rust programs is the compiler that it needs.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = target.join(format!("machine-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/machine.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let status = cc.arg(&made).arg(source).arg("-ldl").status();
        assert!(status.expect("a C compiler").success());
        // Who runs with that of another run keeps it.
        let library = target.join("machine.so");
        std::fs::rename(made, &library).unwrap();
        library
    })
}

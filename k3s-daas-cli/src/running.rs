//! One `daas dev` at a time over a directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::layout::Layout;
use crate::services::export_line;
use crate::units::Moment;

/// The directory is this process's as long as it has this.
///
/// What holds it is a lock of the system, which a killed process leaves too; the file only says whose it is.
#[derive(Debug)]
pub struct Running {
    _file: File,
}

impl Running {
    /// Takes the directory, which exists.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if another process has it, saying which and how to use or stop it.
    pub fn begin(layout: &Layout) -> anyhow::Result<Self> {
        let path = layout.running();
        let cannot = || format!("cannot use {}", path.display());
        let mut file = open(&path).with_context(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(layout, &mut file).into()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        let holder = Holder {
            pid: std::process::id(),
            since_ms: Moment::now().0,
        };
        let text = serde_json::to_vec(&holder)?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(&text))
            .with_context(cannot)?;
        Ok(Self { _file: file })
    }
}

#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    since_ms: u64,
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn taken(layout: &Layout, file: &mut File) -> Failure {
    let mut text = String::new();
    // Who has just taken it may not have said so yet.
    let holder = file
        .take(1024)
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let dir = layout.root().display();
    let (who, stop) = match holder {
        Some(Holder { pid, since_ms }) => (
            format!(", as process {pid} since {}", Moment(since_ms)),
            format!("`kill {pid}`"),
        ),
        None => (String::new(), "Ctrl-C where it runs".to_owned()),
    };
    Failure::new(
        Exit::Unavailable,
        format!("`daas dev` is running over {dir} already{who}"),
    )
    .with_next(format!(
        "use that one (`{}`), stop it with {stop}, or choose another --dir",
        export_line(&layout.kubeconfig())
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let first = Running::begin(&layout).unwrap();
        let error = Running::begin(&layout).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Unavailable);
        let says = error.to_string();
        assert!(
            says.contains(&format!("as process {} since 20", std::process::id())),
            "{says}"
        );
        // A lock whose holder has not said who it is.
        std::fs::write(layout.running(), "").unwrap();
        assert!(Running::begin(&layout).is_err());
        drop(first);
        Running::begin(&layout).unwrap();
    }
}

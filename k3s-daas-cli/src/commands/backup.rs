//! `daas backup` and `daas restore`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use k3s_daas::audit;
use k3s_daas::crypto::{sha256, write_private};
use k3s_daas::ledger::Ledger as _;
use k3s_daas::ledger::local::Head;
use k3s_daas::types::ChainId;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{self, Exit, Failure};
use crate::layout::{Layout, create_private_dir};
use crate::printer::Show;
use crate::settings::{FILE_NAME, Flags};
use crate::units::Moment;

/// Where to.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Services may go on. In the copy: the ledger as of one moment, verified from its genesis on; settings, key files as \
they are, the blob store's key and the gateway's own certificate authority. Not in it: bodies on their way, sessions, \
and the executor's journal, which must never be older than the cluster. The copy has keys: keep it as you keep those. \
The head that is printed, kept elsewhere, is what `daas restore --head` holds the copy against.

Examples:
  daas backup /mnt/backups/2026-11-22
  daas backup /mnt/backups/2026-11-22 -o json")]
pub struct Backup {
    /// Directory to make the copy in; empty or not there.
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Where from.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Makes the directory (--dir), which must be empty or not there, of a copy that `daas backup` made. Nothing is there \
unless all of it is whole and the ledger verifies up to the head that it was copied at.

What came after the copy is lost, on the ledger and not on the cluster: compare with heads that were kept since. Then \
`daas executor journal` makes a new journal, under which writes that waited are answered 504 and not executed, and the \
services can be started. Two services over two copies of one ledger are two ledgers: stop those of the old one first.

Examples:
  daas --dir /srv/daas restore /mnt/backups/2026-11-22
  daas --dir /srv/daas restore /mnt/backups/2026-11-22 --head 1204:9f2c…")]
pub struct Restore {
    /// The copy.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// A head that was kept elsewhere: the ledger must go through it.
    #[arg(long, value_name = "HEAD")]
    head: Option<Head>,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Makes a copy.
///
/// # Errors
/// [`Exit::Refused`] if something is there already, [`Exit::Unverified`] if the ledger does not hold.
pub fn backup(args: &Backup, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    let to = std::path::absolute(&args.to)?;
    expect_empty(&to)?;
    create_private_dir(&to).with_context(|| format!("cannot make {}", to.display()))?;
    write_private(&to.join(UNFINISHED), b"")?;
    let layout = app.layout();
    let chain = app.block_on(async {
        let ledger = app.reader().await?;
        app.printer.progress("copying the ledger…");
        ledger.copy_to(to.join(LEDGER)).await?;
        Ok(ledger.deployment().chain)
    })?;
    let mut files = Vec::new();
    for (name, path) in small_files(&app, &layout)? {
        let bytes = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let target = to.join(&name);
        create_private_dir(target.parent().unwrap_or(&to))?;
        write_private(&target, &bytes)?;
        files.push(Copied::of(name, &bytes));
    }
    sync_ledger(&to.join(LEDGER))?;
    app.printer.progress("verifying the copy…");
    let (_, head) = verified(&to.join(LEDGER), None)?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_ms: Moment::now().0,
        chain,
        head,
        files,
    };
    // Written last: without it a copy is none.
    write_private(&to.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    fs::remove_file(to.join(UNFINISHED))?;
    for role in Role::ALL {
        let key = app.settings.path(role.key());
        if let Some(key) = key.filter(|key| key.exists() && !key.starts_with(layout.root())) {
            app.printer.note(&format!(
                "not in the copy, since it lies elsewhere: the {} key in {}",
                role.name(),
                key.display()
            ));
        }
    }
    app.printer.object(&Done::of(&to, manifest))?;
    Ok(())
}

/// Makes a directory of a copy.
///
/// # Errors
/// [`Exit::Refused`] if something is there already, [`Exit::NotFound`] if there is no copy, [`Exit::Unverified`] if it
/// is not what was made.
pub fn restore(args: &Restore, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    let root = app.layout().root().to_owned();
    let manifest = Manifest::read(&args.from)?;
    expect_empty(&root)?;
    // Before anything is copied for it.
    if let (Some(later), Ok(end)) = (args.head, manifest.head.parse::<Head>())
        && later.calls > end.calls
    {
        let message = format!(
            "the copy ends at call {}, before the head that was given, at {}: it says nothing of whether the copy is good",
            end.calls, later.calls
        );
        return Err(Failure::new(Exit::Unverified, message)
            .with_next("nothing was restored; give a head that was kept before the copy was made, or a later copy")
            .into());
    }
    let parent = root.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let staging =
        staging_in(parent).with_context(|| format!("cannot write in {}", parent.display()))?;
    let at = staging.directory.path();
    let unwritten = |error: &dyn std::error::Error| {
        let message = format!(
            "cannot write in {}: {}",
            parent.display(),
            exit::chain(error)
        );
        Failure::new(Exit::Failure, message)
            .with_next("nothing was restored; make room there, or name a directory on another disk")
    };
    for file in &manifest.files {
        let bytes = read(&args.from.join(&file.path))
            .map_err(|error| damaged(&file.path, &error.to_string()))?;
        if Copied::of(file.path.clone(), &bytes) != *file {
            return Err(damaged(&file.path, "it is not what was copied"));
        }
        let target = at.join(&file.path);
        create_private_dir(target.parent().unwrap_or(at)).map_err(|error| unwritten(&error))?;
        write_private(&target, &bytes).map_err(|error| unwritten(&error))?;
    }
    app.printer.progress("copying the ledger…");
    create_private_dir(&at.join(LEDGER)).map_err(|error| unwritten(&error))?;
    let database = Path::new(LEDGER).join(DATABASE);
    let copied = copy_private(&args.from.join(&database), &at.join(&database))
        .map_err(|error| damaged(&database, &error.to_string()))?;
    copied
        .and_then(|()| sync_ledger(&at.join(LEDGER)))
        .map_err(|error| unwritten(&error))?;
    app.printer.progress("verifying what was restored…");
    let (chain, head) = verified(&at.join(LEDGER), args.head)?;
    if chain != Some(manifest.chain) {
        return Err(damaged(&database, "it is of another chain than the copy"));
    }
    if head != manifest.head {
        return Err(damaged(
            &database,
            "it does not end at the head of the copy",
        ));
    }
    // An empty directory may be there, and is what is replaced.
    fs::rename(at, &root).with_context(|| format!("cannot make {}", root.display()))?;
    File::open(parent)?.sync_all()?;
    let _ = staging.directory.keep();
    let done = Done::of(&root, manifest);
    app.printer.object(&done)?;
    app.printer.note(
        "next: `daas executor journal`, then start the services; writes that waited are answered 504 and not executed",
    );
    Ok(())
}

/// What a copy is made of; the ledger is held by its head.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    version: String,
    made_at_ms: u64,
    chain: ChainId,
    head: String,
    files: Vec<Copied>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copied {
    path: PathBuf,
    bytes: usize,
    sha256: String,
}

impl Copied {
    fn of(path: PathBuf, bytes: &[u8]) -> Self {
        Self {
            path,
            bytes: bytes.len(),
            sha256: hex::encode(sha256(&[bytes])),
        }
    }

    /// Whether it lies in the copy, wherever that is.
    fn is_inside(&self) -> bool {
        let mut parts = self.path.components();
        let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
        is_plain && !self.path.starts_with(LEDGER) && self.path.file_name().is_some()
    }
}

impl Manifest {
    fn read(from: &Path) -> anyhow::Result<Self> {
        let path = from.join(MANIFEST);
        let bytes = read(&path).map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            let message = match is_missing {
                true => format!("{} is no whole copy: it has no {MANIFEST}", from.display()),
                false => format!("cannot read {}: {error}", path.display()),
            };
            let exit = match is_missing {
                true => Exit::NotFound,
                false => Exit::Failure,
            };
            Failure::new(exit, message)
                .with_next("name a directory that `daas backup` made to its end")
        })?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(Path::new(MANIFEST), &error.to_string()))?;
        if manifest.format != FORMAT {
            let message = format!(
                "the copy is of format {}, and this program reads {FORMAT}",
                manifest.format
            );
            return Err(Failure::new(Exit::Version, message)
                .with_next(format!("restore it with daas {}", manifest.version))
                .into());
        }
        if let Some(outside) = manifest.files.iter().find(|file| !file.is_inside()) {
            return Err(damaged(
                &outside.path,
                "it would lie outside of the directory",
            ));
        }
        Ok(manifest)
    }
}

#[derive(Debug, Serialize)]
struct Done {
    directory: PathBuf,
    chain: ChainId,
    head: String,
    made_at_ms: u64,
    files: usize,
}

impl Done {
    fn of(directory: &Path, manifest: Manifest) -> Self {
        Self {
            directory: directory.to_owned(),
            chain: manifest.chain,
            head: manifest.head,
            made_at_ms: manifest.made_at_ms,
            files: manifest.files.len(),
        }
    }
}

impl Show for Done {
    const KIND: &'static str = "copy";
    const COLUMNS: &'static [&'static str] = &["DIRECTORY", "CHAIN", "HEAD", "OF", "FILES"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.directory.display().to_string(),
            self.chain.to_string(),
            self.head.clone(),
            Moment(self.made_at_ms).to_string(),
            self.files.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.head.clone()
    }
}

/// Everything but the ledger, by its place in the copy: what has a place of its own in the directory.
fn small_files(app: &App, layout: &Layout) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for directory in [layout.keys(), layout.gateway()] {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", directory.display()));
            }
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_file() {
                found.push(path);
            }
        }
    }
    found.extend(Some(layout.blob_key()).filter(|path| path.exists()));
    let mut files = Vec::new();
    for path in found {
        files.push((path.strip_prefix(layout.root())?.to_owned(), path));
    }
    let settings = app.settings.file();
    if settings.exists() {
        files.push((FILE_NAME.into(), settings.to_owned()));
    }
    files.sort();
    Ok(files)
}

/// A directory in which something is put together.
struct Staging {
    directory: TempDir,
    /// Held for as long as somebody works there.
    _lock: File,
}

/// A place beside what is made, so that one renaming makes all of it be there at once; removed if anything fails. What
/// others have left who were killed has keys, and is removed too.
fn staging_in(parent: &Path) -> io::Result<Staging> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(STAGING) || !entry.file_type()?.is_dir() {
            continue;
        }
        // What cannot be opened or removed is somebody else's.
        if let Ok(left) = File::open(entry.path())
            && left.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let directory = builder.prefix(STAGING).tempdir_in(parent)?;
    let lock = File::open(directory.path())?;
    lock.lock()?;
    Ok(Staging {
        directory,
        _lock: lock,
    })
}

fn expect_empty(directory: &Path) -> anyhow::Result<()> {
    let is_empty = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", directory.display()));
        }
    };
    if is_empty {
        return Ok(());
    }
    if directory.join(UNFINISHED).exists() && !directory.join(MANIFEST).exists() {
        let directory = directory.display();
        let message = format!("a backup has begun in {directory}, and not ended");
        let next = "if none is running, remove that directory; or name another one";
        return Err(Failure::new(Exit::Refused, message).with_next(next).into());
    }
    Err(Failure::new(
        Exit::Refused,
        format!(
            "{} is not empty, and nothing in it is replaced",
            directory.display()
        ),
    )
    .with_next("name a directory that is empty or not there")
    .into())
}

/// The chain and the head of a ledger that holds from its genesis on.
fn verified(ledger: &Path, through: Option<Head>) -> anyhow::Result<(Option<ChainId>, String)> {
    let mut options = audit::Options::default();
    options.head = through;
    let report = audit::verify(ledger, &options)?;
    match (report.broken, report.head) {
        (None, Some(head)) => Ok((report.chain, head)),
        (Some(broken), _) => Err(damaged(Path::new(LEDGER), &broken.to_string())),
        (None, None) => Err(damaged(Path::new(LEDGER), "it has no head")),
    }
}

fn damaged(path: &Path, why: &str) -> anyhow::Error {
    let message = format!("{} of the copy does not hold: {why}", path.display());
    Failure::new(Exit::Unverified, message)
        .with_next("nothing was restored; use another copy, and keep this one as evidence")
        .into()
}

/// A small file, which may be a key.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    if length > MAX_SMALL {
        return Err(io::Error::other("it is longer than 16 MiB"));
    }
    // Room enough that the vector does not grow and leave copies behind.
    let room = usize::try_from(length).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_SMALL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens what is a file; anything else could keep whoever opens it waiting for ever.
fn open_regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(path)
}

/// Outside what is wrong with the source, inside what is wrong with the target.
fn copy_private(from: &Path, to: &Path) -> io::Result<io::Result<()>> {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};

    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut source = open_regular(from)?;
    let mut target = match options.open(to) {
        Ok(target) => target,
        Err(error) => return Ok(Err(error)),
    };
    match io::copy(&mut source, &mut target) {
        Ok(_bytes) => Ok(Ok(())),
        Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) => {
            Ok(Err(error))
        }
        Err(error) => Err(error),
    }
}

/// SQLite writes copies without waiting for the disk.
fn sync_ledger(ledger: &Path) -> io::Result<()> {
    File::open(ledger.join(DATABASE))?.sync_all()?;
    File::open(ledger)?.sync_all()
}

const FORMAT: u32 = 1;
const MAX_SMALL: u64 = 16 << 20;
const MANIFEST: &str = "backup.json";
/// Only there until the copy is whole.
const UNFINISHED: &str = ".daas-backup-unfinished";
/// How the place begins in which a directory is put together.
const STAGING: &str = ".daas-restore-";
const LEDGER: &str = "ledger";
const DATABASE: &str = "ledger.db";

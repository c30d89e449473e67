//! `daas kubeconfig`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use k3s_daas::crypto::write_private;
use serde_yaml_ng::{Mapping, Value};

use crate::app::App;
use crate::args::{Global, OfToken, Output};
use crate::env_vars;
use crate::exit::{Exit, Failure};
use crate::layout::Layout;
use crate::session;
use crate::settings::Key;
use crate::small_file;

/// What to do with it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The kubeconfig holds no secret: kubectl runs `daas credential` for each connection, always for the token \
that was meant when the kubeconfig was written.

Merging replaces what an earlier merge wrote under the same name for the same gateway. Anything else of that \
name is kept, and nothing is merged, unless --overwrite is given.

Examples:
  daas kubeconfig > ~/.kube/daas && export KUBECONFIG=~/.kube/daas
  daas kubeconfig --merge --name shop && kubectl --context shop get pods
  daas kubeconfig --token $TOKEN --merge --name other")]
pub struct Args {
    /// Merge it into kubectl's own ($KUBECONFIG, else ~/.kube/config) and use it; a file that daas itself
    /// wrote is passed over.
    #[arg(long)]
    merge: bool,
    /// Name of cluster, user and context.
    #[arg(long, default_value = NAME)]
    name: String,
    /// Replace what has that name in kubectl's file, whatever it is.
    #[arg(long, requires = "merge")]
    overwrite: bool,
    /// Whose kubeconfig it is.
    #[command(flatten)]
    token: OfToken,
}

/// Prints or merges it.
///
/// # Errors
/// If the gateway's authority is not there, or kubectl's file cannot be changed;
/// [`Exit::Settings`] if the name is that of something else there.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, Output::default(), args.token.flags())?;
    let ca = session::authority(&app)?;
    let kubeconfig = of_app(&app, &args.name, ca.as_deref())?;
    if !args.merge {
        return Ok(app
            .printer
            .raw(serde_yaml_ng::to_string(&kubeconfig)?.as_bytes())?);
    }
    let Some(file) = kubectls_own()? else {
        return only_ours(&app, args);
    };
    let current = match small_file::read_to_string(&file) {
        Ok(text) => serde_yaml_ng::from_str(&text)
            .with_context(|| format!("{} is no kubeconfig", file.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if !args.overwrite
        && let Some(what) = foreign(&current, &kubeconfig)
    {
        return Err(Failure::new(
            Exit::Settings,
            format!(
                "{} has a {what} named `{}` that is not of this gateway; nothing was changed",
                file.display(),
                args.name
            ),
        )
        .with_next("choose another name with --name OTHER, or replace it with --overwrite")
        .into());
    }
    let merged = merge(current, kubeconfig)
        .with_context(|| format!("{} is no kubeconfig", file.display()))?;
    if let Some(parent) = file.parent() {
        crate::layout::create_private_dir(parent)?;
    }
    // Through a symbolic link to the file that it stands for.
    let file = std::fs::canonicalize(&file).unwrap_or(file);
    write_private(&file, serde_yaml_ng::to_string(&merged)?.as_bytes())?;
    let token = app
        .settings
        .text(Key::Token)
        .map(|token| format!(", of token {token}"));
    app.printer.note(&format!(
        "{} now uses context {}{}",
        file.display(),
        args.name,
        token.unwrap_or_default()
    ));
    Ok(())
}

/// The kubeconfig of the settings' gateway.
///
/// # Errors
/// If this program cannot tell where it lies.
pub(crate) fn of_app(app: &App, name: &str, ca_pem: Option<&[u8]>) -> anyhow::Result<Value> {
    let settings = &app.settings;
    let mut args = vec![
        COMMAND.to_owned(),
        "--config".to_owned(),
        settings.file().to_string_lossy().into_owned(),
        // DAAS_DIR may be another one when kubectl runs.
        "--dir".to_owned(),
        settings.dir().to_string_lossy().into_owned(),
        "--audience".to_owned(),
        session::audience(settings),
    ];
    // Whoever changes the settings later, or has DAAS_TOKEN set, does not change whose kubeconfig it is.
    if let Some(token) = settings.text(Key::Token) {
        // In one word: alone, `0x…` is a number to readers of YAML 1.1, the Python client's among them.
        args.push(format!("--token={token}"));
    }
    let program = program()?;
    Ok(kubeconfig(
        name,
        &session::server(settings),
        ca_pem,
        &program,
        &args,
    ))
}

/// `daas` itself: this program, or the one beside it.
fn program() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let daas = me.with_file_name("daas");
    Ok(if daas.exists() { daas } else { me })
}

fn kubeconfig(
    name: &str,
    server: &str,
    ca_pem: Option<&[u8]>,
    program: &Path,
    args: &[String],
) -> Value {
    let named =
        |key: &str, value: Value| Value::Sequence(vec![map([("name", name.into()), (key, value)])]);
    let mut cluster = map([("server", server.into())]);
    if let (Value::Mapping(cluster), Some(ca_pem)) = (&mut cluster, ca_pem) {
        let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
        cluster.insert("certificate-authority-data".into(), ca.into());
    }
    let args: Vec<Value> = args.iter().map(|arg| arg.as_str().into()).collect();
    let exec = map([
        ("apiVersion", "client.authentication.k8s.io/v1".into()),
        ("command", program.to_string_lossy().into_owned().into()),
        ("args", args.into()),
        ("interactiveMode", "Never".into()),
        ("provideClusterInfo", false.into()),
        (
            "installHint",
            "daas is what this cluster's credentials come from; `daas kubeconfig` writes its path"
                .into(),
        ),
    ]);
    let context = map([("cluster", name.into()), ("user", name.into())]);
    map([
        ("apiVersion", "v1".into()),
        ("kind", "Config".into()),
        ("clusters", named("cluster", cluster)),
        ("users", named("user", map([("exec", exec)]))),
        ("contexts", named("context", context)),
        ("current-context", name.into()),
    ])
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries
        .into_iter()
        .map(|(key, value)| (Value::from(key), value));
    Value::Mapping(entries.collect::<Mapping>())
}

/// What in `current` has the name of an entry of `new` and is not its earlier version: a cluster elsewhere, a
/// user that does not run `daas credential`, a context of others.
fn foreign(current: &Value, new: &Value) -> Option<&'static str> {
    let name = new.get("current-context")?;
    let find = |of: &'_ Value, list: &str| -> Option<Value> {
        let mut entries = of.get(list)?.as_sequence()?.iter();
        entries
            .find(|entry| entry.get("name") == Some(name))
            .cloned()
    };
    let server = |entry: &Value| Some(entry.get("cluster")?.get("server")?.clone());
    let is_ours = |list: &str, entry: &Value| match list {
        "clusters" => {
            let there = server(entry);
            there.is_some() && there == find(new, list).as_ref().and_then(server)
        }
        "users" => {
            let exec = entry.get("user").and_then(|user| user.get("exec"));
            let args = exec.and_then(|exec| exec.get("args"));
            args.and_then(|args| args.get(0)) == Some(&COMMAND.into())
        }
        _ => {
            let names = |field| entry.get("context").and_then(|context| context.get(field));
            names("cluster") == Some(name) && names("user") == Some(name)
        }
    };
    let lists = [
        ("clusters", "cluster"),
        ("users", "user"),
        ("contexts", "context"),
    ];
    lists
        .into_iter()
        .find(|(list, _)| find(current, list).is_some_and(|entry| !is_ours(list, &entry)))
        .map(|(_, what)| what)
}

/// `current` with what `new` names put in or replaced; everything else stays.
fn merge(current: Value, new: Value) -> anyhow::Result<Value> {
    let mut current = match current {
        Value::Null => Mapping::new(),
        Value::Mapping(mapping) => mapping,
        _ => anyhow::bail!("it is no mapping"),
    };
    let Value::Mapping(new) = new else {
        anyhow::bail!("a kubeconfig is a mapping");
    };
    for (key, value) in new {
        let Value::Sequence(added) = value else {
            current.insert(key, value);
            continue;
        };
        let mut entries = match current.get(&key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Sequence(entries)) => entries.clone(),
            Some(_) => anyhow::bail!("{key:?} is no list"),
        };
        for entry in added {
            entries.retain(|other| other.get("name") != entry.get("name"));
            entries.push(entry);
        }
        current.insert(key, Value::Sequence(entries));
    }
    Ok(Value::Mapping(current))
}

/// When KUBECONFIG names nothing but what daas wrote, and would write anew at the next start.
fn only_ours(app: &App, args: &Args) -> anyhow::Result<()> {
    let next = "to merge it into ~/.kube/config, run `KUBECONFIG= daas kubeconfig --merge`";
    let is_this_one = std::env::var_os(env_vars::KUBECONFIG)
        .into_iter()
        .flat_map(|files| std::env::split_paths(&files).collect::<Vec<_>>())
        .any(|file| is_same(&file, &app.layout().kubeconfig()));
    if is_this_one && args.name == NAME {
        app.printer.note(&format!(
            "KUBECONFIG names {} already, which daas keeps up to date: nothing to merge",
            app.layout().kubeconfig().display()
        ));
        app.printer.note(next);
        return Ok(());
    }
    Err(Failure::new(
        Exit::Settings,
        "KUBECONFIG names a file that daas itself writes, where nothing merged would stay",
    )
    .with_next(next)
    .into())
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (std::fs::canonicalize(one), std::fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Whether a file is `DIR/kubeconfig` of a directory of ours, which every `daas dev` writes anew.
fn is_generated(file: &Path) -> bool {
    let Some(dir) = std::fs::canonicalize(file)
        .ok()
        .and_then(|file| file.parent().map(Layout::new))
    else {
        return false;
    };
    dir.settings().exists() && is_same(file, &dir.kubeconfig())
}

/// The file that kubectl itself would change; none if all that it would are generated.
fn kubectls_own() -> anyhow::Result<Option<PathBuf>> {
    let files = std::env::var_os(env_vars::KUBECONFIG).unwrap_or_default();
    let files: Vec<PathBuf> = std::env::split_paths(&files)
        .filter(|file| !file.as_os_str().is_empty())
        .collect();
    if !files.is_empty() {
        return Ok(files.into_iter().find(|file| !is_generated(file)));
    }
    let home = std::env::var_os(env_vars::HOME).ok_or_else(|| {
        Failure::new(
            Exit::Settings,
            "neither KUBECONFIG nor HOME says where kubectl's file is",
        )
    })?;
    Ok(Some(Path::new(&home).join(".kube/config")))
}

/// Name of cluster, user and context unless another is wanted.
pub(crate) const NAME: &str = "daas";

/// The command that kubectl runs.
const COMMAND: &str = "credential";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example(server: &str) -> Value {
        kubeconfig(
            "daas",
            server,
            Some(b"pem"),
            Path::new("/bin/daas"),
            &["credential".to_owned()],
        )
    }

    #[test]
    fn merging_replaces_its_own_and_keeps_the_rest() {
        let theirs: Value = serde_yaml_ng::from_str(
            "clusters:\n- name: other\n  cluster: {server: 'https://o'}\nusers: null\ncurrent-context: other\nextensions: 1\n",
        )
        .unwrap();
        let once = merge(theirs, example("https://a")).unwrap();
        let twice = merge(once, example("https://b")).unwrap();
        let clusters = twice["clusters"].as_sequence().unwrap();
        assert_eq!(clusters.len(), 2);
        assert_eq!(clusters[0]["name"], "other");
        assert_eq!(clusters[1]["cluster"]["server"], "https://b");
        assert_eq!(twice["users"].as_sequence().unwrap().len(), 1);
        assert_eq!(twice["current-context"], "daas");
        assert_eq!(twice["extensions"], 1);
    }

    #[test]
    fn only_an_earlier_version_of_itself_may_be_replaced() {
        let new = example("https://a");
        assert_eq!(foreign(&Value::Null, &new), None);
        assert_eq!(foreign(&example("https://a"), &new), None);
        assert_eq!(foreign(&example("https://b"), &new), Some("cluster"));
        for (theirs, what) in [
            ("clusters: [{name: daas}]", "cluster"),
            ("users: [{name: daas, user: {token: t}}]", "user"),
            (
                "users: [{name: daas, user: {exec: {args: [token]}}}]",
                "user",
            ),
            (
                "contexts: [{name: daas, context: {cluster: c, user: daas}}]",
                "context",
            ),
            (
                "contexts: [{name: daas, context: {cluster: daas, user: u}}]",
                "context",
            ),
        ] {
            let theirs = serde_yaml_ng::from_str(theirs).unwrap();
            assert_eq!(foreign(&theirs, &new), Some(what));
        }
        let other = serde_yaml_ng::from_str("clusters: [{name: other}]\nusers: null").unwrap();
        assert_eq!(foreign(&other, &new), None);
    }

    #[test]
    fn what_is_no_kubeconfig_is_not_touched() {
        for text in ["[]", "text", "clusters: {}", "users: 1"] {
            let theirs = serde_yaml_ng::from_str(text).unwrap();
            assert!(merge(theirs, example("https://a")).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_in_it_is_secret() {
        let text = serde_yaml_ng::to_string(&example("https://a")).unwrap();
        assert!(
            !text.contains("token:") && !text.contains("client-key"),
            "{text}"
        );
        assert!(text.contains("interactiveMode: Never"));
    }
}

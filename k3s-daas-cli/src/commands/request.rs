//! `daas request`.

mod show;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;
use k3s_daas::types::RequestId;
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::args::{Global, OfToken, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::printer::{Format, Show};
use crate::session;
use crate::settings::Flags;

/// What to ask.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
The body of the answer goes to standard output as it comes, a watch line by line; with -o json or yaml, \
together with status and request ID, when all of it is there. An answer of 400 and more is an error, its exit \
code by the status. The body of a PATCH may be YAML too. The same --request-id \
again joins the first request and repeats nothing.

Examples:
  daas request GET /api/v1/namespaces/default/pods
  daas request POST /api/v1/namespaces/default/configmaps -f configmap.yaml
  daas request PATCH /api/v1/namespaces/default/pods/web --type merge -f - <<<'{\"metadata\":{\"labels\":{\"a\":\"b\"}}}'
  daas request GET '/api/v1/namespaces/default/pods?watch=true'
  daas request show 0192d8f0-1111-7abc-8def-0123456789ab"
)]
pub struct Args {
    /// GET, POST, PUT, PATCH or DELETE.
    #[arg(value_name = "METHOD", value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"], ignore_case = true, required = true)]
    method: Option<String>,
    /// Path and query, such as /api/v1/namespaces/default/pods?limit=5.
    #[arg(value_name = "PATH", value_parser = path, required = true)]
    path: Option<String>,
    /// The body, JSON or YAML; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Of a PATCH: how the body is meant.
    #[arg(long = "type", value_enum, default_value_t = PatchType::Strategic, value_name = "TYPE")]
    patch: PatchType,
    /// The request's ID, a UUID of version 7; a new one otherwise.
    #[arg(long, value_name = "ID", value_parser = names::parse::<RequestId>)]
    request_id: Option<RequestId>,
    /// As whom to ask.
    #[command(flatten)]
    token: OfToken,
    /// How to print.
    #[command(flatten)]
    output: Output,
    /// Or what else.
    #[command(subcommand)]
    command: Option<Command>,
}

/// What else.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Show what became of a request, as the ledger has it.
    #[command(after_help = "\
The ledger is all that is asked, so this works with no service running, and long after. An ID is one \
token's own: where several tokens used the same, each of the requests is shown, in JSON as a list.

Outcomes: answered, refused (never admitted), not-executed (admitted, and never reached the cluster), \
pending, unanswered, timed-out (a read), unknown (it may or may not have happened), closed (a stream).

Examples:
  daas request show 0192d8f0-1111-7abc-8def-0123456789ab
  daas request show 0192d8f0-1111-7abc-8def-0123456789ab -o json
  daas request show 0192d8f0-1111-7abc-8def-0123456789ab --archive /mnt/archive")]
    Show {
        /// The ID: `Daas-Request-Id` of the answer.
        #[arg(value_parser = names::parse::<RequestId>)]
        id: RequestId,
        /// Where segments of `daas ledger archive` lie, for a request that was archived; may be given more than once.
        #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        archive: Vec<std::path::PathBuf>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// How the body of a PATCH is meant.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[non_exhaustive]
pub enum PatchType {
    /// Strategic merge patch, kubectl's own default.
    Strategic,
    /// JSON merge patch.
    Merge,
    /// JSON patch.
    Json,
    /// Server-side apply; needs `fieldManager` in the query.
    Apply,
}

/// Runs the command.
///
/// # Errors
/// If there is no answer, or it is an error.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    if let Some(Command::Show {
        id,
        archive,
        output,
    }) = &args.command
    {
        let app = App::new(global, *output, Flags::new())?;
        return app.block_on(show::show(&app, *id, archive));
    }
    let (Some(method), Some(path)) = (&args.method, &args.path) else {
        return Err(Failure::new(Exit::Usage, "METHOD and PATH are needed").into());
    };
    let app = App::new(global, args.output, args.token.flags())?;
    let body = match &args.file {
        Some(file) => super::read_input(file)?,
        None => Vec::new(),
    };
    app.block_on(send(&app, args, method, path, body))
}

/// A path and query exactly as they will be sent and recorded: what HTTP would leave out is refused.
fn path(text: &str) -> Result<String, String> {
    let example = "such as /api/v1/namespaces/default/pods";
    if text.starts_with("//") {
        return Err(format!("it names a host; give only the path, {example}"));
    }
    if !text.starts_with('/') {
        return Err(match text.split_once("://") {
            Some((_, rest)) => format!(
                "it is a URL, and the gateway comes from the settings; give only the path: /{}",
                rest.split_once('/').map_or("", |(_, path)| path)
            ),
            None if text.contains('/') => format!("a path begins with `/`: /{text}"),
            None => format!("a path begins with `/`, {example}"),
        });
    }
    if text.contains('#') {
        return Err("what follows `#` is never sent; leave it out, or write `#` as %23".to_owned());
    }
    match PathAndQuery::try_from(text) {
        Ok(path) if path.as_str() == text => Ok(text.to_owned()),
        _ => Err(
            "it has characters that no path may have; write them as % and two hexadecimal digits, \
             a space as %20"
                .to_owned(),
        ),
    }
}

/// The body of a patch that must be JSON, from JSON or YAML.
fn patch_body(body: Vec<u8>, file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    if body.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
        return Ok(body);
    }
    let read: Result<Value, _> = serde_yaml_ng::from_slice(&body);
    let value = read.map_err(|error| {
        let file = file.unwrap_or(Path::new("-"));
        let message = format!("{} is neither JSON nor YAML: {error}", file.display());
        Failure::new(Exit::Usage, message)
    })?;
    Ok(value.to_string().into_bytes())
}

async fn send(
    app: &App,
    args: &Args,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<()> {
    let method: Method = method.to_uppercase().parse().context("no method of HTTP")?;
    let id = args.request_id.unwrap_or_else(RequestId::new).to_string();
    let body = match (&method, args.patch) {
        (&Method::PATCH, PatchType::Strategic | PatchType::Merge | PatchType::Json) => {
            patch_body(body, args.file.as_deref())?
        }
        _ => body,
    };
    let is_json = body.is_empty() || serde_json::from_slice::<Value>(&body).is_ok();
    let content_type = match (&method, args.patch) {
        (&Method::PATCH, PatchType::Strategic) => "application/strategic-merge-patch+json",
        (&Method::PATCH, PatchType::Merge) => "application/merge-patch+json",
        (&Method::PATCH, PatchType::Json) => "application/json-patch+json",
        (&Method::PATCH, PatchType::Apply) => "application/apply-patch+yaml",
        _ if is_json => "application/json",
        _ => "application/yaml",
    };
    let mut headers = vec![
        ("accept", "application/json"),
        ("user-agent", concat!("daas/", env!("CARGO_PKG_VERSION"))),
        ("daas-request-id", id.as_str()),
    ];
    if !body.is_empty() {
        headers.push(("content-type", content_type));
    }
    let client = session::gateway_client(app)?;
    let mut stream = client
        .open(method, path, &headers, Bytes::from(body))
        .await?;
    if app.printer.format() == Format::Table && stream.status.as_u16() < 400 {
        while let Some(piece) = stream.next().await? {
            app.printer.raw(&piece)?;
        }
        return Ok(());
    }
    let reply = stream.collect().await?;
    let answer = Answer {
        request_id: reply.header("daas-request-id").unwrap_or(&id).to_owned(),
        status: reply.status.as_u16(),
        body: reply
            .json()
            .unwrap_or_else(|| Value::String(String::from_utf8_lossy(&reply.body).into_owned())),
    };
    match app.printer.format() {
        Format::Table => {
            app.printer.raw(&reply.body)?;
            if !reply.body.is_empty() && !reply.body.ends_with(b"\n") {
                app.printer.line("")?;
            }
        }
        _ => app.printer.object(&answer)?,
    }
    // Where the body was printed, its words are there already.
    let failure = match app.printer.format() {
        Format::Name => reply.failure(),
        _ if reply.body.is_empty() => reply.failure(),
        _ => reply.failure_saying(&format!("the answer is {}", reply.status)),
    };
    match failure {
        Some(failure) => Err(failure
            .with_next(format!(
                "`daas request show {}` tells what the ledger knows of it",
                answer.request_id
            ))
            .into()),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct Answer {
    request_id: String,
    status: u16,
    body: Value,
}

impl Show for Answer {
    const KIND: &'static str = "request";
    const COLUMNS: &'static [&'static str] = &["REQUEST", "STATUS"];

    fn cells(&self) -> Vec<String> {
        vec![self.request_id.clone(), self.status.to_string()]
    }

    fn name(&self) -> String {
        self.request_id.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_sent_as_typed_or_not_at_all() {
        for good in [
            "/",
            "/version",
            "/api/v1/pods?limit=5&labelSelector=a%3Db",
            "/api/v1/../secrets",
            "/a?b=c/d//e?f",
        ] {
            assert_eq!(path(good).as_deref(), Ok(good));
        }
        for (bad, says) in [
            ("", "begins with `/`"),
            ("version", "such as /api"),
            ("api/v1/pods", ": /api/v1/pods"),
            ("localhost:7443/x", "begins with `/`"),
            ("https://evil/x?y", "give only the path: /x?y"),
            ("https://evil", "give only the path: /"),
            ("//evil/x", "names a host"),
            ("/api#frag", "%23"),
            ("/api?x=#", "%23"),
            ("/a b", "%20"),
            ("/a\nb", "hexadecimal"),
            ("*", "begins with `/`"),
        ] {
            let said = path(bad).unwrap_err();
            assert!(said.contains(says), "{bad}: {said}");
        }
    }

    #[test]
    fn patches_are_json_in_the_end() {
        let json = |text: &str| patch_body(text.as_bytes().to_vec(), None);
        assert_eq!(json("{\"a\": 1}").unwrap(), b"{\"a\": 1}");
        assert_eq!(json("").unwrap(), b"");
        assert_eq!(
            json("data: {x: 'yes', y: null}").unwrap(),
            br#"{"data":{"x":"yes","y":null}}"#
        );
        assert_eq!(
            json("- {op: remove, path: /data/x}").unwrap(),
            br#"[{"op":"remove","path":"/data/x"}]"#
        );
        for bad in ["{", "a: [", "a: 1\n---\nb: 2\n", "\u{0}"] {
            assert_eq!(Exit::of(&json(bad).unwrap_err()), Exit::Usage, "{bad}");
        }
    }
}

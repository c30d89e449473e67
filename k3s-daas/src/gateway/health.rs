//! Whether the gateway lives, and whether it could serve: each dependency by its name.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::executors::Trouble;
use super::extract::parameters;
use super::{Body, Inner, reply};
use crate::contract::VERSION;
use crate::ledger::LedgerExt as _;

/// One dependency and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// `ledger`, `follower`, `blobs`, `executor`, `cluster` or `clock`.
    pub name: &'static str,
    /// What is wrong with it, if anything is.
    pub trouble: Option<String>,
}

impl Inner {
    /// `/livez`, `/readyz`, `/healthz`: for everybody, and cheap. `None` for other paths.
    pub(super) async fn health(&self, path: &str, query: &str) -> Option<Response<Body>> {
        let checks = match path {
            "/livez" => Vec::new(),
            "/readyz" | "/healthz" => self.readiness().await,
            _ => return None,
        };
        let is_well = checks.iter().all(|check| check.trouble.is_none());
        let is_verbose = !is_well || parameters(query).any(|(name, _)| name == "verbose");
        let mut text = String::new();
        if is_verbose {
            for Check { name, trouble } in &checks {
                let _ = match trouble {
                    None => writeln!(text, "[+]{name} ok"),
                    Some(trouble) => writeln!(text, "[-]{name} failed: {trouble}"),
                };
            }
            let verdict = if is_well { "passed" } else { "failed" };
            let _ = writeln!(text, "{} check {verdict}", &path[1..]);
        } else {
            text.push_str("ok");
        }
        let mut response = Response::new(reply::full(Bytes::from(text)));
        if !is_well {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        Some(response)
    }

    /// Each dependency, asked at most twice a second however often this is called.
    pub(super) async fn readiness(&self) -> Vec<Check> {
        let mut kept = self.readiness.lock().await;
        if let Some((at, checks)) = kept.as_ref()
            && at.elapsed() < KEPT
        {
            return checks.clone();
        }
        let checks = self.examine().await;
        *kept = Some((Instant::now(), checks.clone()));
        checks
    }

    async fn examine(&self) -> Vec<Check> {
        let (ledger, blobs, unanswered) = tokio::join!(
            tokio::time::timeout(PATIENCE, self.ledger.sync()),
            tokio::time::timeout(PATIENCE, self.blobs.usage()),
            self.examine_executors(),
        );
        let cursor = match &ledger {
            Ok(Ok(cursor)) => Some(*cursor),
            _ => None,
        };
        let ledger = match ledger {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let blobs = match blobs {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let follower = match cursor {
            Some(cursor) => self.lag_behind(cursor).await,
            None => self.progress.followed().trouble,
        };
        let (executor, ledger_ms) = self.ledger.view(|snapshot| {
            let cluster = snapshot.state.cluster(self.cluster);
            let trouble = match cluster {
                None => Some("the ledger does not know the cluster".to_owned()),
                Some(cluster) if cluster.version != VERSION => Some(format!(
                    "the cluster is of contract version {}, and this gateway knows {VERSION}",
                    cluster.version
                )),
                Some(cluster) if cluster.eligible().next().is_none() => {
                    Some("no executor is eligible".to_owned())
                }
                Some(_) => None,
            };
            (trouble, snapshot.now_ms)
        });
        let (executor, cluster) = match (executor, self.trouble()) {
            (None, Some(silent @ Trouble::Silent { .. })) => (Some(silent.to_string()), None),
            (None, Some(unreachable)) => (None, Some(unreachable.to_string())),
            (executor, _) => (executor, unanswered),
        };
        let check = |name, trouble| Check { name, trouble };
        vec![
            check("ledger", ledger),
            check("follower", follower),
            check("blobs", blobs),
            check("executor", executor),
            check("cluster", cluster),
            check("clock", clock(ledger_ms)),
        ]
    }

    /// Whether following is behind an event that is final, given a moment to catch up.
    async fn lag_behind(&self, cursor: crate::ledger::Cursor) -> Option<String> {
        let deadline = Instant::now() + CATCH_UP;
        loop {
            let followed = self.progress.followed();
            if followed.cursor >= cursor {
                return None;
            }
            if Instant::now() >= deadline {
                return Some(match followed.trouble {
                    Some(trouble) => trouble,
                    None => format!("at {}, the ledger is at {cursor}", followed.cursor),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Ledger time is never behind this clock, so only one that was set back shows.
fn clock(ledger_ms: u64) -> Option<String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall_ms = u64::try_from(since.map_or(0, |since| since.as_millis())).unwrap_or(u64::MAX);
    let apart = Duration::from_millis(ledger_ms.abs_diff(wall_ms));
    (apart > MAX_CLOCK_DIFFERENCE).then(|| format!("{} s off ledger time", apart.as_secs()))
}

const KEPT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);
const CATCH_UP: Duration = Duration::from_millis(500);
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

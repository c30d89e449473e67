//! What is seen at one moment, of what two pages and the ledger say.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k3s_daas::contract::Outcome;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{ClusterId, ExecutorId, TokenId};
use serde::Serialize;

use super::page::{Buckets, Page, clean};
use crate::app::App;
use crate::printer::Show;
use crate::settings::Key;
use crate::units::Moment;

/// Looks, again and again, and keeps what rates are made of.
pub(super) struct Watcher<'a> {
    app: &'a App,
    gateway: Service,
    nautilus: Service,
    ledger: Option<LocalLedger>,
    /// When each executor last answered, as far as that was seen; Unix milliseconds.
    answered: HashMap<ExecutorId, u64>,
    /// How many requests each token had made.
    used: HashMap<TokenId, u64>,
    looked: Option<Instant>,
}

/// One of the two services.
struct Service {
    setting: Key,
    address: Option<SocketAddr>,
    page: Option<Page>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(app: &'a App) -> Self {
        let service = |setting| Service {
            setting,
            address: app.settings.value(setting),
            page: None,
        };
        Self {
            app,
            gateway: service(Key::GatewayMetricsListen),
            nautilus: service(Key::NautilusMetricsListen),
            ledger: None,
            answered: HashMap::new(),
            used: HashMap::new(),
            looked: None,
        }
    }

    /// Looks once; rates are since the last time.
    pub(super) async fn look(&mut self) -> Seen {
        let (gateway, nautilus, ledger) = tokio::join!(
            self.gateway.fetch(),
            self.nautilus.fetch(),
            open(self.app, self.ledger.take()),
        );
        let now = Instant::now();
        let since = self.looked.replace(now).map(|then| now - then);
        let pages = [
            gateway.as_ref().ok().cloned(),
            nautilus.as_ref().ok().cloned(),
        ];
        let disk = disk(pages.iter().flatten());
        let rates = |new: &Page, old: Option<&Page>| Rates {
            new: new.clone(),
            old: old.cloned(),
            since,
        };
        let seen = Seen {
            at_ms: Moment::now().0,
            gateway: self
                .gateway
                .seen(&gateway, |new, old| Gateway::of(&rates(new, old))),
            nautilus: self
                .nautilus
                .seen(&nautilus, |new, old| Nautilus::of(&rates(new, old))),
            ledger: match ledger {
                Ok(ledger) => {
                    let seen = self.ledger_seen(&ledger, since);
                    self.ledger = Some(ledger);
                    seen
                }
                Err(why) => Part::missing(why),
            },
            disk,
        };
        self.gateway.page = gateway.ok();
        self.nautilus.page = nautilus.ok();
        seen
    }

    fn ledger_seen(&mut self, ledger: &LocalLedger, since: Option<Duration>) -> Part<OnLedger> {
        let wanted: Option<ClusterId> = self.app.settings.value(Key::Cluster);
        let (answered, used) = (&mut self.answered, &mut self.used);
        ledger.view(|now| {
            let mut waiting = HashMap::<ExecutorId, u64>::new();
            for (_, _, request) in now.state.all_requests() {
                match &request.outcome {
                    None => *waiting.entry(request.executor).or_default() += 1,
                    Some(Outcome::Answered(record)) => {
                        let last = answered.entry(record.executor).or_default();
                        *last = record.processed_at_ms.max(*last);
                    }
                    Some(_) => {}
                }
            }
            let is_ours = |id: ClusterId| wanted.is_none_or(|wanted| wanted == id);
            let mut executors = Vec::new();
            for cluster in now.state.clusters().filter(|cluster| is_ours(cluster.id)) {
                executors.extend(cluster.executors.iter().map(|entry| {
                    OfExecutor {
                        id: entry.id,
                        status: match (entry.active, cluster.is_eligible(entry)) {
                            (false, _) => "inactive",
                            (_, false) => "not eligible",
                            _ => "eligible",
                        },
                        stake_mist: entry.stake,
                        stake_required_mist: cluster.policy.min_executor_stake,
                        silent_ms: answered
                            .get(&entry.id)
                            .map(|last| now.now_ms.saturating_sub(*last)),
                        waiting: waiting.get(&entry.id).copied().unwrap_or_default(),
                    }
                }));
            }
            let mut tokens: Vec<OfToken> = Vec::new();
            for token in now.state.tokens().filter(|token| is_ours(token.cluster)) {
                let before = used.insert(token.id, token.sequence);
                tokens.push(OfToken {
                    id: token.id,
                    status: match token.is_valid(now.now_ms) {
                        true => "valid",
                        false => "not valid",
                    },
                    requests: token.sequence,
                    requests_per_s: per_second(
                        before.map(|before| token.sequence.saturating_sub(before)),
                        since,
                    ),
                    unanswered: token.unanswered,
                    stake_mist: token.bonded,
                });
            }
            tokens.sort_by(|a, b| {
                let use_of = |token: &OfToken| token.requests_per_s.unwrap_or_default();
                let by_use = use_of(b).total_cmp(&use_of(a));
                by_use
                    .then(b.requests.cmp(&a.requests))
                    .then(a.id.cmp(&b.id))
            });
            let count = tokens.len();
            tokens.truncate(MAX_SHOWN);
            executors.truncate(MAX_SHOWN);
            Part::of(OnLedger {
                sequence: now.cursor.to_string(),
                time_ms: now.now_ms,
                executors,
                tokens,
                token_count: count,
            })
        })
    }
}

impl Service {
    async fn fetch(&self) -> Result<Page, String> {
        match self.address {
            Some(address) => Page::fetch(address).await,
            None => Err(format!("`{}` is not set", self.setting.name())),
        }
    }

    fn seen<T>(
        &self,
        page: &Result<Page, String>,
        of: impl FnOnce(&Page, Option<&Page>) -> T,
    ) -> Part<T> {
        match page {
            Ok(page) => Part::of(of(page, self.page.as_ref())),
            Err(why) => match self.address {
                Some(address) => Part::missing(format!("{address}: {why}")),
                None => Part::missing(why.clone()),
            },
        }
    }
}

async fn open(app: &App, ledger: Option<LocalLedger>) -> Result<LocalLedger, String> {
    let said = |error: anyhow::Error| clean(&format!("{error:#}"));
    match ledger {
        // It follows what others write.
        Some(ledger) => match ledger.sync().await {
            Ok(_) => Ok(ledger),
            Err(error) => Err(said(error.into())),
        },
        None => app.reader().await.map_err(said),
    }
}

/// All that is seen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    pub(super) at_ms: u64,
    pub(super) gateway: Part<Gateway>,
    pub(super) nautilus: Part<Nautilus>,
    pub(super) ledger: Part<OnLedger>,
    pub(super) disk: Vec<Disk>,
}

impl Seen {
    /// Whether there was anything to be seen.
    pub(super) fn is_anything(&self) -> bool {
        self.gateway.seen.is_some() || self.nautilus.seen.is_some() || self.ledger.seen.is_some()
    }
}

/// One of the sources, or why it says nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Part<T> {
    pub(super) missing: Option<String>,
    #[serde(flatten)]
    pub(super) seen: Option<T>,
}

impl<T> Part<T> {
    fn of(seen: T) -> Self {
        Self {
            missing: None,
            seen: Some(seen),
        }
    }

    pub(super) fn missing(why: String) -> Self {
        Self {
            missing: Some(why),
            seen: None,
        }
    }
}

/// What the gateway says. Rates need two looks, and are none after the first.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Gateway {
    pub(super) requests_per_s: Option<f64>,
    pub(super) in_flight: Option<f64>,
    pub(super) pending: Option<f64>,
    pub(super) watches: Option<f64>,
    pub(super) behind_events: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) outcomes_per_s: BTreeMap<String, f64>,
    pub(super) refusals_per_s: BTreeMap<String, f64>,
    /// Dependencies that are not as they should be.
    pub(super) not_ready: Vec<String>,
    pub(super) stages: Vec<Stage>,
}

/// What Nautilus says.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Nautilus {
    pub(super) executed_per_s: Option<f64>,
    pub(super) held: Option<f64>,
    pub(super) at_cluster: Option<f64>,
    pub(super) unanswered: Option<f64>,
    pub(super) queued: BTreeMap<String, f64>,
    pub(super) lag_s: Option<f64>,
    pub(super) behind_events: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) stake_mist: Option<f64>,
    pub(super) stake_required_mist: Option<f64>,
    pub(super) eligible: Option<bool>,
    pub(super) cluster_reachable: Option<bool>,
    /// Writes whose outcome nobody knows, since the service began.
    pub(super) unknown: Option<f64>,
    pub(super) stages: Vec<Stage>,
}

/// Where time goes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stage {
    pub(super) stage: String,
    pub(super) per_s: Option<f64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// What the ledger says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OnLedger {
    pub(super) sequence: String,
    pub(super) time_ms: u64,
    pub(super) executors: Vec<OfExecutor>,
    /// The most used first, at most a hundred.
    pub(super) tokens: Vec<OfToken>,
    pub(super) token_count: usize,
}

/// An executor on the ledger.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OfExecutor {
    pub(super) id: ExecutorId,
    pub(super) status: &'static str,
    pub(super) stake_mist: u64,
    pub(super) stake_required_mist: u64,
    /// Since it last answered, as far as the ledger still shows it.
    pub(super) silent_ms: Option<u64>,
    /// What it has to answer.
    pub(super) waiting: u64,
}

/// A token on the ledger.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OfToken {
    pub(super) id: TokenId,
    pub(super) status: &'static str,
    pub(super) requests: u64,
    pub(super) requests_per_s: Option<f64>,
    pub(super) unanswered: u64,
    pub(super) stake_mist: u64,
}

/// Room on a disk.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Disk {
    pub(super) at: String,
    pub(super) free_bytes: f64,
    pub(super) reserve_bytes: Option<f64>,
}

impl Gateway {
    fn of(rates: &Rates) -> Self {
        let value = |name: &str| rates.new.value(name);
        let checks = rates.new.by("daas_gateway_ready", "check");
        Self {
            requests_per_s: rates.rate("daas_gateway_requests_total"),
            in_flight: value("daas_gateway_in_flight"),
            pending: value("daas_gateway_pending"),
            watches: value("daas_gateway_watches"),
            behind_events: value("daas_gateway_ledger_behind_events"),
            memory_bytes: value("process_resident_memory_bytes"),
            outcomes_per_s: rates.rates("daas_gateway_outcomes_total", "outcome"),
            refusals_per_s: rates.rates("daas_gateway_refusals_by_reason_total", "reason"),
            not_ready: checks
                .into_iter()
                .filter(|(_, is)| *is < 0.5)
                .map(|(check, _)| check)
                .collect(),
            stages: rates.stages("daas_gateway_stage_seconds"),
        }
    }
}

impl Nautilus {
    fn of(rates: &Rates) -> Self {
        let value = |name: &str| rates.new.value(name);
        let is = |name: &str| rates.new.value(name).map(|is| is > 0.5);
        Self {
            executed_per_s: rates.rate("daas_nautilus_executed_total"),
            held: value("daas_nautilus_held"),
            at_cluster: value("daas_nautilus_at_cluster"),
            unanswered: value("daas_nautilus_unanswered"),
            queued: rates.new.by("daas_nautilus_queued", "lane"),
            lag_s: value("daas_nautilus_ledger_lag_seconds"),
            behind_events: value("daas_nautilus_ledger_behind_events"),
            memory_bytes: value("process_resident_memory_bytes"),
            stake_mist: value("daas_nautilus_executor_stake_mist"),
            stake_required_mist: value("daas_nautilus_executor_stake_required_mist"),
            eligible: is("daas_nautilus_executor_eligible"),
            cluster_reachable: is("daas_nautilus_cluster_reachable"),
            unknown: value("daas_nautilus_unknown_total"),
            stages: rates.stages("daas_nautilus_stage_seconds"),
        }
    }
}

/// Two pages, and the time between them.
struct Rates {
    new: Page,
    old: Option<Page>,
    since: Option<Duration>,
}

impl Rates {
    fn rate(&self, name: &str) -> Option<f64> {
        let (new, old) = (self.new.value(name)?, self.old.as_ref()?.value(name)?);
        Some(grown(new, old) / self.seconds()?)
    }

    fn rates(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let Some((old, seconds)) = self.old.as_ref().zip(self.seconds()) else {
            return BTreeMap::new();
        };
        let old = old.by(name, label);
        let rate = |(label, new): (String, f64)| {
            let old = old.get(&label).copied().unwrap_or_default();
            let rate = grown(new, old) / seconds;
            (label, rate)
        };
        self.new.by(name, label).into_iter().map(rate).collect()
    }

    /// Of what came between the two; of all if there was only one look, or nothing came.
    fn stages(&self, name: &str) -> Vec<Stage> {
        let old = self.old.as_ref().map(|old| old.buckets(name, "stage"));
        let stage = |(stage, buckets): (String, Buckets)| {
            let earlier = old
                .as_ref()
                .map(|old| old.get(&stage).cloned().unwrap_or_default());
            let since = buckets.since(earlier.as_ref());
            let count = since.count();
            let shown = if count > 0.0 { &since } else { &buckets };
            let ms = |seconds: f64| seconds * 1_000.0;
            Stage {
                stage,
                per_s: earlier
                    .as_ref()
                    .and(self.seconds())
                    .map(|seconds| count / seconds),
                p50_ms: shown.quantile(0.5).map(ms),
                p99_ms: shown.quantile(0.99).map(ms),
            }
        };
        self.new
            .buckets(name, "stage")
            .into_iter()
            .map(stage)
            .collect()
    }

    fn seconds(&self) -> Option<f64> {
        let seconds = self.since?.as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }
}

/// How much a counter grew; from 0 if its service was restarted.
fn grown(new: f64, old: f64) -> f64 {
    if new >= old { new - old } else { new.max(0.0) }
}

#[allow(clippy::cast_precision_loss)] // a rate is shown with one digit
fn per_second(count: Option<u64>, since: Option<Duration>) -> Option<f64> {
    let seconds = since?.as_secs_f64();
    (seconds > 0.0).then_some(count? as f64 / seconds)
}

/// The least that any page says of each place.
fn disk<'a>(pages: impl Iterator<Item = &'a Page>) -> Vec<Disk> {
    let mut disk = BTreeMap::<String, Disk>::new();
    for page in pages {
        let reserve = page.value("daas_disk_reserve_bytes");
        for (at, free) in page.by("daas_disk_free_bytes", "at") {
            let known = disk.entry(at.clone()).or_insert_with(|| Disk {
                reserve_bytes: reserve.filter(|_| at == "ledger"),
                at,
                free_bytes: free,
            });
            known.free_bytes = known.free_bytes.min(free);
        }
    }
    disk.into_values().collect()
}

impl Show for Seen {
    const KIND: &'static str = "moment";
    const COLUMNS: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        Vec::new()
    }

    fn name(&self) -> String {
        Moment(self.at_ms).to_string()
    }
}

/// Executors and tokens that are shown.
const MAX_SHOWN: usize = 100;

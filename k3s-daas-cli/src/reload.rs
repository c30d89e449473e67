//! Settings that are read again while a service runs, when SIGHUP arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k3s_daas::metrics::Page;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;
use crate::services::Services;
use crate::settings::{Change, Key, Settings};
use crate::units::Moment;

/// How often the settings were read again, for metrics.
#[derive(Debug)]
pub struct Reloads {
    applied: AtomicU64,
    refused: AtomicU64,
    /// When what holds now was read, Unix milliseconds.
    last_ms: AtomicU64,
    /// Settings that count only after a restart.
    waiting: AtomicU64,
}

impl Default for Reloads {
    fn default() -> Self {
        Self {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_ms: AtomicU64::new(Moment::now().0),
            waiting: AtomicU64::new(0),
        }
    }
}

impl Reloads {
    /// Writes what became of them.
    pub fn write_metrics(&self, page: &mut Page) {
        let value = |number: &AtomicU64| number.load(Ordering::Relaxed);
        page.counters(
            "daas_config_reloads_total",
            "SIGHUPs upon which the settings were read again: `applied`, or `refused` as a whole because something was wrong.",
            "result",
            [
                ("applied", value(&self.applied)),
                ("refused", value(&self.refused)),
            ],
        );
        page.seconds(
            "daas_config_loaded_seconds",
            "Unix time at which the settings that hold were read.",
            Duration::from_millis(value(&self.last_ms)),
        );
        page.gauge(
            "daas_config_restart_settings",
            "Settings that were changed and count only after a restart.",
            value(&self.waiting),
        );
    }
}

/// Whose settings are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// `daas-gateway`.
    Gateway,
    /// `daas-nautilus`.
    Nautilus,
}

impl Program {
    fn uses(self, key: Key) -> bool {
        let others: &[&str] = match self {
            Self::Gateway => &["nautilus.", "keys.operator", "keys.executor", "executor"],
            Self::Nautilus => &["gateway.", "keys.gateway"],
        };
        key.change() != Change::Command && !others.iter().any(|other| key.name().starts_with(other))
    }
}

/// SIGHUPs, which end the process no more once this is there.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// From now on; one that comes before [`Hangups::begin`] is not lost.
    ///
    /// # Errors
    /// If signals cannot be handled.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Has `reload` read and apply everything, all of it or nothing, at each of them. `running` are the settings that
    /// hold; what `reload` gives back has been applied as far as that can be without a restart.
    pub fn begin<F>(
        mut self,
        services: &mut Services,
        program: Program,
        mut running: Settings,
        reloads: Arc<Reloads>,
        reload: impl Fn() -> F + Send + 'static,
    ) where
        F: Future<Output = anyhow::Result<Settings>> + Send,
    {
        services.begin("reloading", move |shutdown| async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    _ = self.0.recv() => {}
                }
                match reload().await {
                    Ok(new) => {
                        let waiting = tell(program, &mut running, &new);
                        reloads.applied.fetch_add(1, Ordering::Relaxed);
                        reloads.last_ms.store(Moment::now().0, Ordering::Relaxed);
                        reloads.waiting.store(waiting, Ordering::Relaxed);
                    }
                    Err(error) => {
                        reloads.refused.fetch_add(1, Ordering::Relaxed);
                        let next = exit::advice(&error);
                        tracing::error!(
                            error = format!("{error:#}"),
                            next,
                            "the settings were not read again; those of before hold"
                        );
                    }
                }
            }
        });
    }
}

/// Says what is another now, and what would be after a restart; how many of the latter there are.
fn tell(program: Program, running: &mut Settings, new: &Settings) -> u64 {
    let before = running.clone();
    running.adopt(new);
    let (mut changed, mut waiting) = (0_u64, 0);
    for &key in Key::ALL.iter().filter(|key| program.uses(**key)) {
        let (setting, was, is) = (key.name(), before.text(key), new.text(key));
        if was == is {
            continue;
        }
        // No setting is a secret: of those there are, it is the file that is set.
        if running.text(key) == is {
            changed += 1;
            tracing::info!(setting, was, is, "a setting has changed");
        } else {
            waiting += 1;
            tracing::warn!(
                setting,
                running = was,
                set = is,
                "a setting that was changed counts only after a restart"
            );
        }
    }
    tracing::info!(changed, waiting, "the settings were read again");
    waiting
}

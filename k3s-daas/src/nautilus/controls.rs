//! What may be changed of a Nautilus while it runs.

use std::sync::Arc;

use super::queue::places;
use super::{Config, Error, Result};
use crate::changing::Changing;
use crate::limits::Limit;
use crate::types::TokenId;

/// How a [`super::Nautilus`] behaves, for who changes it while it runs.
#[derive(Debug)]
pub struct Controls {
    config: Changing<Config>,
    /// Of requests and of watches.
    pub(super) places: [Arc<Limit<TokenId>>; 2],
}

impl Controls {
    pub(super) fn new(config: Config) -> Self {
        let counts = [config.concurrency, config.watch_concurrency];
        Self {
            places: counts.map(|count| Arc::new(places(count))),
            config: Changing::new(config),
        }
    }

    pub(super) fn config(&self) -> Arc<Config> {
        self.config.now()
    }

    /// Has other settings hold from now on, all of them or none; what has begun goes on by those it began with. The
    /// journal stays the one that is open.
    ///
    /// # Errors
    /// [`Error::Config`], and nothing changes.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn reload(&self, new: Config) -> Result<()> {
        if let Some(text) = new.invalid() {
            return Err(Error::Config(text));
        }
        let old = self.config();
        let counts = [new.concurrency, new.watch_concurrency];
        for (places, count) in self.places.iter().zip(counts) {
            places.resize(count, count);
        }
        let journal = old.journal.clone();
        self.config.set(Config { journal, ..new });
        Ok(())
    }
}

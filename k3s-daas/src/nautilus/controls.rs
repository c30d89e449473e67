//! What may be changed of a Nautilus while it runs.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Config, Error, Result};
use crate::changing::{Changing, resize};

/// How a [`super::Nautilus`] behaves, for who changes it while it runs.
#[derive(Debug)]
pub struct Controls {
    config: Changing<Config>,
    /// Of requests and of watches.
    pub(super) slots: [Arc<Semaphore>; 2],
}

impl Controls {
    pub(super) fn new(config: Config) -> Self {
        let slots = [config.concurrency, config.watch_concurrency];
        Self {
            slots: slots.map(|slots| Arc::new(Semaphore::new(slots))),
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
        resize(&self.slots[0], old.concurrency, new.concurrency);
        resize(&self.slots[1], old.watch_concurrency, new.watch_concurrency);
        let journal = old.journal.clone();
        self.config.set(Config { journal, ..new });
        Ok(())
    }
}

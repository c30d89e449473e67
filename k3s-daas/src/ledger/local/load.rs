//! The state from its tables, held against the end of the log.

use super::cold::Cold;
use super::disk::Layout;
use super::failure::{BrokenLink, Failure};
use super::journal::{Journal, StoredTip};
use super::objects;
use super::replay::number;
use super::replica::Replica;
use super::tail;

/// What an engine begins with.
pub(super) struct Loaded {
    pub(super) replica: Replica,
    pub(super) cold: Cold,
    pub(super) stored: StoredTip,
}

/// Reads the state's tables and holds them against the end of the log.
pub(super) fn load(journal: &Journal, layout: &Layout) -> Result<Loaded, Failure> {
    journal.begin_reading()?;
    let loaded = load_within(journal, layout);
    journal.roll_back();
    loaded
}

pub(super) fn load_within(journal: &Journal, layout: &Layout) -> Result<Loaded, Failure> {
    let genesis = journal.genesis()?;
    let stored = journal.tip()?;
    if let Some(checkpoint) = journal.checkpoint()? {
        checkpoint.check(&genesis)?;
    }
    let mut replica =
        Replica::at_genesis(&genesis, stored.time_ms).map_err(BrokenLink::database)?;
    replica.balances.clear();
    replica.tip = stored.tip();
    tail::check(journal, &replica.tip)?;
    let cold = Cold::new(&layout.dir);
    let fingerprint = objects::load(journal, &mut replica, &cold)?;
    if fingerprint != stored.fingerprint {
        let why = "the state's tables were changed: their fingerprint is not that of the last call";
        return Err(BrokenLink::database(why).into());
    }
    check_last_head(journal, &replica, &stored)?;
    Ok(Loaded {
        replica,
        cold,
        stored,
    })
}

fn check_last_head(
    journal: &Journal,
    replica: &Replica,
    stored: &StoredTip,
) -> Result<(), Failure> {
    let broken = |why: &str| -> Result<(), Failure> {
        let last = stored.heads.saturating_sub(1);
        Err(BrokenLink::new("head", last, why).into())
    };
    let mut heads = journal.heads_after(number(stored.heads) - 2, 2)?;
    let (Some(head), true) = (heads.pop().transpose()?, heads.is_empty()) else {
        return broken("it is not the last one");
    };
    if head.message.sequence + 1 != stored.heads || head.digest() != stored.last_head {
        return broken("it is not the one that was stored last");
    }
    if !head.is_genuine(&replica.deployment) {
        return broken("its signature is not its key's");
    }
    if head.message.head.calls > stored.calls {
        return broken("it stands for calls that are not there");
    }
    if journal.link_after(head.message.head.calls)? != head.message.head.link {
        return broken("the log has another link there");
    }
    Ok(())
}

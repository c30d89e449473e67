//! The suite that every [`BlobStore`] passes.
//!
//! Bring a function that makes an empty store with given limits:
//!
//! ```
//! # #[cfg(feature = "conformance")]
//! # async fn example() {
//! use k3s_daas::blob::{MemoryBlobStore, conformance};
//!
//! conformance::run(async |limits| MemoryBlobStore::new().with_limits(limits)).await;
//! # }
//! ```
//!
//! It panics at the first difference. Needs a Tokio runtime whose time is not paused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{AnswerKeep, BlobStore, Durability, Error, Holder, Limits, MAX_HOLDERS};
use crate::crypto::{Blob, BlobHash, Salt};

/// Runs the whole suite, each case on a fresh store from `make`.
///
/// # Panics
/// If the store does not do what [`BlobStore`] says.
pub async fn run<S: BlobStore>(mut make: impl AsyncFnMut(Limits) -> S) {
    returns_what_was_put(&make(ROOMY).await).await;
    knows_what_it_has_not(&make(ROOMY).await).await;
    putting_twice_holds_once(&make(ROOMY).await).await;
    keeps_while_somebody_holds(&make(ROOMY).await).await;
    releases_only_what_is_held(&make(ROOMY).await).await;
    fetches_for_its_holders_only(&make(ROOMY).await).await;
    ends_holds_by_themselves(&make(ROOMY).await).await;
    retains_sooner_and_later(&make(ROOMY).await).await;
    limits_holders(&make(ROOMY).await).await;
    limits_one_blob(&make(Limits::new(1 << 20, 100, 1000)).await).await;
    limits_number(&make(Limits::new(1 << 20, 2, 1000).with_answer_percent(0)).await).await;
    let probe = make(ROOMY).await;
    let stored = put(&probe, &blob(1, 100), "h").await.1;
    let two = Limits::new(stored * 2, 100, 1000).with_answer_percent(0);
    limits_bytes(&make(two).await).await;
    makes_room_of_what_ended(&make(two).await).await;
    keeps_room_for_answers(&make(Limits::new(1 << 20, 20, 1 << 20)).await).await;
    let twenty = (stored - 132 + NOTICE + 1) * 20;
    keeps_bytes_for_answers(&make(Limits::new(twenty, 1000, 1 << 20)).await).await;
    limits_shares(&make(Limits::new(1 << 20, 16, 1000).with_answer_percent(0)).await).await;
    tells_a_refusal_when_a_share_is_full(&make(Limits::new(1 << 30, 80, 1 << 20)).await).await;
    holds_answers_longer_while_there_is_room(&make(Limits::new(1 << 20, 40, 1000)).await).await;
    retains_answers_while_there_is_room(&make(Limits::new(1 << 20, 40, 1000)).await).await;
    let store = Arc::new(make(ROOMY).await);
    shared(Arc::clone(&store), store).await;
}

/// Checks that two handles of one empty store, e.g. opened by two processes, agree.
///
/// # Panics
/// If they do not.
pub async fn shared<S: BlobStore>(one: Arc<S>, other: Arc<S>) {
    let blob = blob(1, 50);
    let hash = put(&*one, &blob, "a").await.0;
    assert_eq!(other.fetch(&hash).await.expect("put by the other"), blob);
    let b = holder("b");
    other.retain(&hash, &b, LONG).await.expect("it is there");
    one.release(&hash, &holder("a")).await.expect("released");
    assert_eq!(one.fetch(&hash).await.expect("held by b"), blob);
    other.release(&hash, &b).await.expect("released");
    assert_not_found(&*one, &hash).await;
    racing_holders(&one, &other).await;
    racing_removal(&one, &other).await;
}

async fn returns_what_was_put(store: &impl BlobStore) {
    for len in [0, 1, 31, 32, 33, 16_000, 100_000] {
        let blob = blob(7, len);
        let hash = put(store, &blob, "h").await.0;
        assert_eq!(hash, blob.hash());
        let fetched = store.fetch(&hash).await.expect("was put");
        assert_eq!(fetched, blob);
        assert_eq!(fetched.body_len(), len);
    }
    assert_eq!(store.usage().await.expect("usage").blobs, 7);
}

async fn knows_what_it_has_not(store: &impl BlobStore) {
    let hash = blob(1, 10).hash();
    assert_not_found(store, &hash).await;
    let retained = store.retain(&hash, &holder("h"), LONG).await;
    assert!(
        matches!(retained, Err(Error::NotFound { .. })),
        "{retained:?}"
    );
    store
        .release(&hash, &holder("h"))
        .await
        .expect("releasing what is not there does nothing");
    assert_eq!(store.usage().await.expect("usage").blobs, 0);
}

async fn putting_twice_holds_once(store: &impl BlobStore) {
    let blob = blob(1, 10);
    let (hash, bytes) = put(store, &blob, "h").await;
    assert_eq!(put(store, &blob, "h").await, (hash, bytes));
    store.release(&hash, &holder("h")).await.expect("released");
    assert_not_found(store, &hash).await;
    let usage = store.usage().await.expect("usage");
    assert_eq!((usage.bytes, usage.blobs), (0, 0));
    // And once more from the start.
    put(store, &blob, "h").await;
    assert_eq!(store.fetch(&hash).await.expect("put again"), blob);
}

async fn keeps_while_somebody_holds(store: &impl BlobStore) {
    let blob = blob(1, 10);
    let (hash, bytes) = put(store, &blob, "a").await;
    assert_eq!(put(store, &blob, "b").await.1, bytes, "stored once");
    store
        .retain(&hash, &holder("c"), LONG)
        .await
        .expect("there");
    for name in ["a", "b", "c"] {
        assert_eq!(store.fetch(&hash).await.expect("held"), blob);
        store.release(&hash, &holder(name)).await.expect("released");
    }
    assert_not_found(store, &hash).await;
}

async fn fetches_for_its_holders_only(store: &impl BlobStore) {
    let blob = blob(1, 10);
    let hash = put(store, &blob, "a").await.0;
    let (a, b) = (holder("a"), holder("b"));
    assert_eq!(store.fetch_held(&hash, &a).await.expect("held"), blob);
    for other in ["b", "a1"] {
        let refused = store.fetch_held(&hash, &holder(other)).await;
        assert!(
            matches!(refused, Err(Error::NotFound { .. })),
            "{refused:?}"
        );
    }
    store.retain(&hash, &b, LONG).await.expect("there");
    assert_eq!(store.fetch_held(&hash, &b).await.expect("held"), blob);
    store
        .retain(&hash, &a, Duration::ZERO)
        .await
        .expect("there");
    let ended = store.fetch_held(&hash, &a).await;
    assert!(matches!(ended, Err(Error::NotFound { .. })), "{ended:?}");
}

async fn releases_only_what_is_held(store: &impl BlobStore) {
    let blob = blob(1, 10);
    let hash = put(store, &blob, "a").await.0;
    store
        .retain(&hash, &holder("b"), LONG)
        .await
        .expect("there");
    for name in ["b", "b", "b", "c", "a1"] {
        store.release(&hash, &holder(name)).await.expect("no harm");
    }
    assert_eq!(store.fetch(&hash).await.expect("held by a"), blob);
}

async fn ends_holds_by_themselves(store: &impl BlobStore) {
    let started = Instant::now();
    let short = put_for(store, &blob(1, 10), "a", SHORT).await;
    let long = put(store, &blob(2, 10), "a").await.0;
    let both = put_for(store, &blob(3, 10), "a", SHORT).await;
    store
        .retain(&both, &holder("b"), LONG)
        .await
        .expect("there");
    let early = store.sweep().await.expect("sweep");
    // Unless the machine is so slow that nothing can be said.
    assert!(early.holds == 0 || started.elapsed() >= SHORT, "{early:?}");
    tokio::time::sleep(SHORT * 2).await;
    let swept = store.sweep().await.expect("sweep");
    assert_eq!(
        (early.holds + swept.holds, early.blobs + swept.blobs),
        (2, 1)
    );
    assert_not_found(store, &short).await;
    store.fetch(&long).await.expect("still held");
    store.fetch(&both).await.expect("held by b");
    store.release(&both, &holder("b")).await.expect("released");
    assert_not_found(store, &both).await;
    let again = store.sweep().await.expect("sweep");
    assert_eq!((again.holds, again.blobs), (0, 0));
}

async fn retains_sooner_and_later(store: &impl BlobStore) {
    let sooner = put(store, &blob(1, 10), "a").await.0;
    store
        .retain(&sooner, &holder("a"), SHORT)
        .await
        .expect("there");
    let later = put_for(store, &blob(2, 10), "a", SHORT).await;
    store
        .retain(&later, &holder("a"), LONG)
        .await
        .expect("there");
    // A put repeated with less than it has takes nothing away.
    let put_again = put(store, &blob(3, 10), "a").await.0;
    put_for(store, &blob(3, 10), "a", SHORT).await;
    // Not even the longest time there is overflows.
    let forever = put_for(store, &blob(4, 10), "a", Duration::MAX).await;
    tokio::time::sleep(SHORT * 2).await;
    store.sweep().await.expect("sweep");
    assert_not_found(store, &sooner).await;
    for hash in [later, put_again, forever] {
        store.fetch(&hash).await.expect("still held");
    }
}

async fn limits_holders(store: &impl BlobStore) {
    let blob = blob(1, 10);
    let hash = put(store, &blob, "h0").await.0;
    for n in 1..MAX_HOLDERS {
        let holder = holder(&format!("h{n}"));
        store.retain(&hash, &holder, LONG).await.expect("room");
    }
    let refused = store.retain(&hash, &holder("more"), LONG).await;
    assert!(
        matches!(refused, Err(Error::TooManyHolders { .. })),
        "{refused:?}"
    );
    let refused = store.put(&blob, &holder("more"), LONG).await;
    assert!(
        matches!(refused, Err(Error::TooManyHolders { .. })),
        "{refused:?}"
    );
    store
        .retain(&hash, &holder("h3"), LONG)
        .await
        .expect("is one");
    store.release(&hash, &holder("h3")).await.expect("released");
    store
        .retain(&hash, &holder("more"), LONG)
        .await
        .expect("room");
}

async fn limits_one_blob(store: &impl BlobStore) {
    let refused = store.put(&blob(1, 969), &holder("h"), LONG).await;
    assert!(
        matches!(
            refused,
            Err(Error::TooLarge {
                len: 1001,
                limit: 1000
            })
        ),
        "{refused:?}"
    );
    assert_not_found(store, &blob(1, 969).hash()).await;
    put(store, &blob(1, 968), "h").await;
}

async fn limits_number(store: &impl BlobStore) {
    let first = put(store, &blob(1, 10), "h").await.0;
    put(store, &blob(2, 10), "h").await;
    assert_full(store, &blob(3, 10)).await;
    store.release(&first, &holder("h")).await.expect("released");
    put(store, &blob(3, 10), "h").await;
}

async fn limits_bytes(store: &impl BlobStore) {
    let first = put(store, &blob(1, 100), "h").await.0;
    put(store, &blob(2, 100), "h").await;
    let before = store.usage().await.expect("usage");
    assert_full(store, &blob(3, 0)).await;
    assert_eq!(store.usage().await.expect("usage"), before);
    // What is there already needs no room.
    put(store, &blob(1, 100), "other").await;
    store
        .release(&first, &holder("other"))
        .await
        .expect("released");
    assert_full(store, &blob(3, 0)).await;
    store.release(&first, &holder("h")).await.expect("released");
    put(store, &blob(3, 100), "h").await;
    assert_eq!(store.usage().await.expect("usage"), before);
}

/// By number: of 20, payloads have 15, answers 19, short ones all.
async fn keeps_room_for_answers(store: &impl BlobStore) {
    let mut payloads = Vec::new();
    for seed in 0..15 {
        payloads.push(put(store, &blob(seed, 10), "h").await.0);
    }
    assert_full(store, &blob(15, 10)).await;
    for seed in 15..19 {
        answer(store, &blob(seed, LONG_ANSWER), "h")
            .await
            .expect("kept for it");
    }
    let refused = answer(store, &blob(19, LONG_ANSWER), "h").await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    answer(store, &blob(19, 10), "h")
        .await
        .expect("the last one");
    let refused = answer(store, &blob(20, 10), "h").await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    // An answer that is there already needs no room.
    answer(store, &blob(19, 10), "other").await.expect("there");
    // What answers use is room that payloads have not.
    store
        .release(&payloads[0], &holder("h"))
        .await
        .expect("released");
    assert_full(store, &blob(21, 10)).await;
}

/// By bytes: the limit is 20 answers that are just too long for short ones.
async fn keeps_bytes_for_answers(store: &impl BlobStore) {
    let long = |seed| {
        blob(
            seed,
            usize::try_from(NOTICE + 1).expect("short") - Salt::LEN,
        )
    };
    for seed in 0..15 {
        put(store, &long(seed), "h").await;
    }
    assert_full(store, &long(15)).await;
    for seed in 15..19 {
        answer(store, &long(seed), "h").await.expect("kept for it");
    }
    let refused = answer(store, &long(19), "h").await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    let short = blob(20, usize::try_from(NOTICE).expect("short") - Salt::LEN);
    answer(store, &short, "h").await.expect("kept for it");
}

/// Of 16, each share has 4.
async fn limits_shares(store: &impl BlobStore) {
    let mut first = Vec::new();
    for seed in 0..4 {
        let name = format!("a-{seed}");
        first.push((put(store, &blob(seed, 10), &name).await.0, holder(&name)));
    }
    let before = store.usage().await.expect("usage");
    for name in ["a-0", "a-9", "a-"] {
        let refused = store.put(&blob(9, 10), &holder(name), LONG).await;
        assert!(
            matches!(refused, Err(Error::ShareFull { blobs: 4, .. })),
            "{refused:?}"
        );
        let refused = answer(store, &blob(9, 10), name).await;
        assert!(
            matches!(refused, Err(Error::ShareFull { .. })),
            "{refused:?}"
        );
    }
    assert_not_found(store, &blob(9, 10).hash()).await;
    assert_eq!(store.usage().await.expect("usage"), before);
    // Others have room, and a holder without a share is limited by the whole alone.
    for seed in 10..12 {
        put(store, &blob(seed, 10), "b-1").await;
    }
    for seed in 20..25 {
        put(store, &blob(seed, 10), "h").await;
    }
    // It counts to the share of who put it, whoever else holds it.
    let (hash, a) = &first[0];
    let other = holder("b-2");
    store.retain(hash, &other, LONG).await.expect("there");
    store.release(hash, a).await.expect("released");
    let refused = store.put(&blob(9, 10), a, LONG).await;
    assert!(
        matches!(refused, Err(Error::ShareFull { .. })),
        "{refused:?}"
    );
    store.release(hash, &other).await.expect("released");
    put(store, &blob(9, 10), "a-1").await;
    // What ended by itself makes room as well.
    put_for(store, &blob(30, 10), "c-1", SHORT).await;
    for seed in 31..34 {
        put(store, &blob(seed, 10), "c-1").await;
    }
    tokio::time::sleep(SHORT * 2).await;
    store.sweep().await.expect("sweep");
    put(store, &blob(34, 10), "c-1").await;
}

/// Of 80, a share has 20: payloads 15, answers 19, short ones all.
async fn tells_a_refusal_when_a_share_is_full(store: &impl BlobStore) {
    for seed in 0..15 {
        put(store, &blob(seed, 10), "a-1").await;
    }
    let refused = store.put(&blob(15, 10), &holder("a-2"), LONG).await;
    assert!(
        matches!(refused, Err(Error::ShareFull { .. })),
        "{refused:?}"
    );
    for seed in 15..19 {
        answer(store, &blob(seed, LONG_ANSWER), "a-2")
            .await
            .expect("kept for it");
    }
    let refused = answer(store, &blob(19, LONG_ANSWER), "a-2").await;
    assert!(
        matches!(refused, Err(Error::ShareFull { .. })),
        "{refused:?}"
    );
    answer(store, &blob(19, 500), "a-2")
        .await
        .expect("kept for it");
    put(store, &blob(40, 10), "b-1").await;
}

/// Of 40, a share has 10: while 4 of its and 17 of all are used, an answer is held as long as is wanted.
async fn holds_answers_longer_while_there_is_room(store: &impl BlobStore) {
    let put_answer = async |seed, name: &str| {
        let blob = blob(seed, 10);
        let keep = answer_keep(SHORT, LONG);
        let put = store.put_answer(&blob, &holder(name), keep).await;
        put.expect("room")
    };
    let mut long = Vec::new();
    for seed in 0..4 {
        long.push(put_answer(seed, &format!("a-{seed}")).await);
    }
    let mut short = vec![put_answer(4, "a-4").await];
    long.push(put_answer(5, "b-1").await);
    for seed in 6..18 {
        long.push(put(store, &blob(seed, 10), "h").await.0);
    }
    short.push(put_answer(18, "c-1").await);
    short.push(put_answer(19, "h").await);
    // Never shorter than it must be.
    let must = blob(20, 10);
    let keep = answer_keep(LONG, SHORT);
    let put = store.put_answer(&must, &holder("h"), keep).await;
    long.push(put.expect("room"));
    tokio::time::sleep(SHORT * 2).await;
    store.sweep().await.expect("sweep");
    for hash in long {
        store.fetch(&hash).await.expect("still held");
    }
    for hash in short {
        assert_not_found(store, &hash).await;
    }
}

/// Of 40, a share has 10, of which answers may use 9, and half of that while it is roomy.
async fn retains_answers_while_there_is_room(store: &impl BlobStore) {
    let put_answer = async |seed: u8| {
        let (blob, name) = (blob(seed, 10), holder(&format!("a-{seed}")));
        let keep = answer_keep(SHORT, SHORT);
        (
            store.put_answer(&blob, &name, keep).await.expect("room"),
            name,
        )
    };
    let mut answers = Vec::new();
    for seed in 0..8 {
        answers.push(put_answer(seed).await);
    }
    let retain = async |index: usize, least, wanted| {
        let (hash, holder) = &answers[index];
        store.retain_answer(hash, holder, least, wanted).await
    };
    // It is not: what nobody needs goes at once, and what somebody may need stays for as long as that.
    for (index, (hash, _)) in answers.iter().enumerate().take(3) {
        retain(index, Duration::ZERO, LONG).await.expect("there");
        assert_not_found(store, hash).await;
    }
    retain(3, LONG, Duration::ZERO).await.expect("there");
    for index in [4, 7] {
        let (hash, holder) = &answers[index];
        store.release(hash, holder).await.expect("released");
    }
    // Now it is.
    retain(5, Duration::ZERO, LONG).await.expect("there");
    retain(6, Duration::ZERO, Duration::ZERO)
        .await
        .expect("there");
    assert_not_found(store, &answers[6].0).await;
    let gone = retain(0, Duration::ZERO, LONG).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    tokio::time::sleep(SHORT * 2).await;
    store.sweep().await.expect("sweep");
    for index in [3, 5] {
        store.fetch(&answers[index].0).await.expect("still held");
    }
}

async fn makes_room_of_what_ended(store: &impl BlobStore) {
    let ending = put_for(store, &blob(1, 100), "h", SHORT).await;
    put(store, &blob(2, 100), "h").await;
    tokio::time::sleep(SHORT * 2).await;
    put(store, &blob(3, 100), "h").await;
    assert_not_found(store, &ending).await;
}

/// Many tasks hold and release one blob; it must be there while any of them holds it.
async fn racing_holders<S: BlobStore>(one: &Arc<S>, other: &Arc<S>) {
    let blob = blob(2, 1000);
    let hash = blob.hash();
    let tasks = (0..8).map(|task| {
        let store = Arc::clone(if task % 2 == 0 { one } else { other });
        let (blob, holder) = (blob.clone(), holder(&format!("task-{task}")));
        tokio::spawn(async move {
            for _ in 0..25 {
                store.put(&blob, &holder, LONG).await.expect("room");
                let fetched = store.fetch(&hash).await.expect("held by this task");
                assert_eq!(fetched, blob);
                store.release(&hash, &holder).await.expect("released");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no task found its blob gone");
    }
    assert_not_found(&**one, &hash).await;
    let usage = other.usage().await.expect("usage");
    assert_eq!((usage.bytes, usage.blobs), (0, 0));
}

/// Several tasks release everything while others put, each its own, and count what is left.
async fn racing_removal<S: BlobStore>(one: &Arc<S>, other: &Arc<S>) {
    let tasks = (0..6u8).map(|task| {
        let store = Arc::clone(if task % 2 == 0 { one } else { other });
        tokio::spawn(async move {
            let mut kept = Vec::new();
            for round in 0..20u8 {
                let blob = blob(100 + task, 200 + usize::from(round));
                let hash = put(&*store, &blob, "h").await.0;
                if round % 2 == 0 {
                    store.release(&hash, &holder("h")).await.expect("released");
                } else {
                    kept.push(blob);
                }
                store.sweep().await.expect("sweep");
            }
            kept
        })
    });
    let mut kept = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        kept.extend(task.await.expect("no task failed"));
    }
    assert_eq!(one.usage().await.expect("usage").blobs, kept.len() as u64);
    for blob in kept {
        let hash = blob.hash();
        assert_eq!(other.fetch(&hash).await.expect("held"), blob);
        one.release(&hash, &holder("h")).await.expect("released");
    }
    assert_eq!(one.usage().await.expect("usage").bytes, 0);
}

/// Puts for long; the hash, and the bytes then stored.
async fn put(store: &impl BlobStore, blob: &Blob, name: &str) -> (BlobHash, u64) {
    let hash = put_for(store, blob, name, LONG).await;
    (hash, store.usage().await.expect("usage").bytes)
}

async fn put_for(store: &impl BlobStore, blob: &Blob, name: &str, keep: Duration) -> BlobHash {
    let hash = store.put(blob, &holder(name), keep).await.expect("room");
    assert_eq!(hash, blob.hash());
    hash
}

async fn answer(store: &impl BlobStore, blob: &Blob, name: &str) -> Result<BlobHash, Error> {
    let keep = answer_keep(LONG, LONG);
    store.put_answer(blob, &holder(name), keep).await
}

fn answer_keep(least: Duration, wanted: Duration) -> AnswerKeep {
    AnswerKeep {
        least,
        wanted,
        durability: Durability::Cached,
    }
}

async fn assert_not_found(store: &impl BlobStore, hash: &BlobHash) {
    let fetched = store.fetch(hash).await;
    assert!(
        matches!(&fetched, Err(Error::NotFound { hash: named }) if named == hash),
        "{fetched:?}"
    );
}

async fn assert_full(store: &impl BlobStore, blob: &Blob) {
    let refused = store.put(blob, &holder("h"), LONG).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert_not_found(store, &blob.hash()).await;
}

fn blob(seed: u8, len: usize) -> Blob {
    Blob::new(Salt::new([seed; Salt::LEN]), vec![seed; len])
}

fn holder(name: &str) -> Holder {
    Holder::new(name).expect("well-formed")
}

const ROOMY: Limits = Limits::new(64 << 20, 1000, 1 << 20);
/// What only just is a short answer, salt included.
const NOTICE: u64 = Limits::NOTICE_BYTES;
/// What is none.
const LONG_ANSWER: usize = 5_000;
const LONG: Duration = Duration::from_secs(3600);
/// Long enough for a slow machine to do a few operations, short enough to wait for.
const SHORT: Duration = Duration::from_millis(400);

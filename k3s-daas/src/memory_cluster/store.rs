//! The objects, their history, and the one thread that changes them.
//!
//! Writes are closures over a [`Transaction`]; the commit thread runs them one after
//! another on its own copy of the index, writes a batch of them to the journal, and only
//! then shows the outcome to readers and watchers: nobody sees what a crash could undo.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::journal::Journal;
use super::status::Refusal;

/// An object as it stood at one resource version.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) value: Value,
    /// The JSON of `value` without `kind` and `apiVersion` and without the opening brace.
    pub(super) rest: Bytes,
    pub(super) resource_version: u64,
}

impl Stored {
    pub(super) fn new(value: Value, resource_version: u64) -> Self {
        let mut rest = serde_json::to_vec(&Headless(&value)).unwrap_or_default();
        rest.remove(0);
        Self {
            value,
            rest: rest.into(),
            resource_version,
        }
    }

    pub(super) fn meta(&self, key: &str) -> Option<&str> {
        self.value.get("metadata")?.get(key)?.as_str()
    }

    pub(super) fn name(&self) -> &str {
        self.meta("name").unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.meta("namespace")
    }

    pub(super) fn uid(&self) -> &str {
        self.meta("uid").unwrap_or_default()
    }
}

/// What happened to one object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) before: Option<Arc<Stored>>,
    /// For a deletion the last state, at the resource version of the deletion.
    pub(super) after: Arc<Stored>,
    pub(super) deleted: bool,
}

impl Change {
    pub(super) fn resource_version(&self) -> u64 {
        self.after.resource_version
    }
}

/// The key of an object inside its collection; orders as etcd does.
pub(super) fn key(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// Handle on the objects; clones share them.
#[derive(Clone)]
pub(super) struct Store {
    shared: Arc<RwLock<Shared>>,
    jobs: mpsc::Sender<Job>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Takes over what `journal` holds, lets `seed` add what must be there, and starts the
    /// commit thread.
    pub(super) fn open(
        mut journal: Option<Journal>,
        seed: impl FnOnce(&mut Transaction<'_>),
    ) -> Result<Self, super::Error> {
        let mut objects = Objects::default();
        if let Some(journal) = &mut journal {
            let (resource_version, rows) = journal.load()?;
            objects.resource_version = resource_version;
            for (storage, key, stored) in rows {
                objects.insert(&storage.into(), key, Arc::new(stored));
            }
        }
        let mut changes = Vec::new();
        seed(&mut Transaction {
            objects: &mut objects,
            changes: &mut changes,
            dry_run: false,
        });
        if let Some(journal) = &mut journal {
            journal.commit(objects.resource_version, &changes)?;
        }
        let mut shared = Shared {
            resource_version: objects.resource_version,
            ..Shared::default()
        };
        shared.started_at = objects.resource_version;
        for (storage, map) in &objects.maps {
            shared.collection(storage).objects = map.clone();
        }
        let shared = Arc::new(RwLock::new(shared));
        let (jobs, queue) = mpsc::channel(MAX_QUEUED_WRITES);
        let thread_shared = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("memory-cluster-commit".into())
            .spawn(move || commit_loop(queue, objects, journal, &thread_shared))
            .map_err(super::Error::Thread)?;
        Ok(Self { shared, jobs })
    }

    /// Runs `work` alone; its changes are durable and visible when this returns.
    ///
    /// A refusal, and a dry run, undo everything `work` did.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        dry_run: bool,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let (start, version) = (
                transaction.changes.len(),
                transaction.objects.resource_version,
            );
            transaction.dry_run = dry_run;
            let result = work(transaction);
            if dry_run || result.is_err() {
                transaction.undo(start, version);
            }
            transaction.dry_run = false;
            Box::new(move |committed: Result<(), &Refusal>| {
                let _ = answer.send(match committed {
                    Ok(()) => result,
                    Err(refusal) => Err(refusal.clone()),
                });
            })
        });
        self.jobs
            .send(job)
            .await
            .map_err(|_| Refusal::internal("the store has stopped"))?;
        outcome
            .await
            .map_err(|_| Refusal::internal("the store has stopped"))?
    }

    /// The newest resource version.
    pub(super) fn resource_version(&self) -> u64 {
        self.read().resource_version
    }

    pub(super) fn one(&self, storage: &str, key: &str) -> Option<Arc<Stored>> {
        self.read()
            .collections
            .get(storage)?
            .objects
            .get(key)
            .cloned()
    }

    /// All objects of a collection, or of one namespace in it, with the resource version.
    pub(super) fn all(&self, storage: &str, namespace: Option<&str>) -> (u64, Vec<Arc<Stored>>) {
        let shared = self.read();
        let objects = shared
            .collections
            .get(storage)
            .map(|c| {
                range(&c.objects, namespace)
                    .map(|(_, o)| Arc::clone(o))
                    .collect()
            })
            .unwrap_or_default();
        (shared.resource_version, objects)
    }

    /// The collection as it stood at `resource_version`, while its history reaches back.
    pub(super) fn all_at(
        &self,
        storage: &str,
        namespace: Option<&str>,
        resource_version: u64,
    ) -> Result<Vec<(String, Arc<Stored>)>, TooOld> {
        let shared = self.read();
        let Some(collection) = shared.collections.get(storage) else {
            return Ok(Vec::new());
        };
        shared.check_age(collection, resource_version)?;
        let mut objects: BTreeMap<String, Arc<Stored>> = range(&collection.objects, namespace)
            .map(|(k, o)| (k.clone(), Arc::clone(o)))
            .collect();
        for change in collection.history.iter().rev() {
            if change.resource_version() <= resource_version {
                break;
            }
            match &change.before {
                Some(before) if in_namespace(&change.key, namespace) => {
                    objects.insert(change.key.clone(), Arc::clone(before));
                }
                _ => {
                    objects.remove(&change.key);
                }
            }
        }
        Ok(objects.into_iter().collect())
    }

    /// Wakes when the collection changes.
    pub(super) fn subscribe(&self, storage: &str) -> watch::Receiver<u64> {
        if let Some(collection) = self.read().collections.get(storage) {
            return collection.newest.subscribe();
        }
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        shared.collection(&storage.into()).newest.subscribe()
    }

    /// At most `limit` changes of a collection after `resource_version`, oldest first, and
    /// the resource version up to which they are complete.
    pub(super) fn changes(
        &self,
        storage: &str,
        resource_version: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Change>), TooOld> {
        let shared = self.read();
        let Some(collection) = shared.collections.get(storage) else {
            return Ok((shared.resource_version, Vec::new()));
        };
        shared.check_age(collection, resource_version)?;
        let start = collection
            .history
            .partition_point(|c| c.resource_version() <= resource_version);
        let changes: Vec<Change> = collection
            .history
            .iter()
            .skip(start)
            .take(limit)
            .cloned()
            .collect();
        let reached = match changes.last() {
            Some(last) if start + changes.len() < collection.history.len() => {
                last.resource_version()
            }
            _ => shared.resource_version,
        };
        Ok((reached, changes))
    }

    fn read(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The history no longer reaches back to what was asked for.
#[derive(Debug)]
pub(super) struct TooOld {
    pub(super) asked: u64,
    pub(super) oldest: u64,
}

impl TooOld {
    pub(super) fn refusal(&self) -> Refusal {
        Refusal::expired(format!(
            "too old resource version: {} ({})",
            self.asked, self.oldest
        ))
    }
}

/// What a write may see and do.
pub(super) struct Transaction<'a> {
    objects: &'a mut Objects,
    changes: &'a mut Vec<(Arc<str>, Change)>,
    dry_run: bool,
}

impl Transaction<'_> {
    pub(super) fn get(&self, storage: &str, key: &str) -> Option<Arc<Stored>> {
        self.objects.maps.get(storage)?.get(key).cloned()
    }

    pub(super) fn list(&self, storage: &str, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let map = self.objects.maps.get(storage);
        map.map(|m| range(m, namespace).map(|(_, o)| Arc::clone(o)).collect())
            .unwrap_or_default()
    }

    /// Every object in `namespace`, with its collection.
    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<(Arc<str>, Arc<Stored>)> {
        let mut found = Vec::new();
        for (storage, map) in &self.objects.maps {
            found.extend(
                range(map, Some(namespace))
                    .filter(|(_, o)| o.namespace() == Some(namespace))
                    .map(|(_, o)| (Arc::clone(storage), Arc::clone(o))),
            );
        }
        found
    }

    /// Objects that name `uid` among their owners.
    pub(super) fn dependents(&self, uid: &str) -> Vec<(Arc<str>, Arc<Stored>)> {
        let Some(places) = self.objects.dependents.get(uid) else {
            return Vec::new();
        };
        places
            .iter()
            .filter_map(|(storage, key)| Some((Arc::clone(storage), self.get(storage, key)?)))
            .collect()
    }

    /// An object by its UID, looked for in `namespace` and among the cluster-wide ones.
    pub(super) fn by_uid(
        &self,
        uid: &str,
        namespace: Option<&str>,
    ) -> Option<(Arc<str>, Arc<Stored>)> {
        for (storage, map) in &self.objects.maps {
            let found = map.values().find(|o| {
                o.uid() == uid && (o.namespace().is_none() || o.namespace() == namespace)
            });
            if let Some(found) = found {
                return Some((Arc::clone(storage), Arc::clone(found)));
            }
        }
        None
    }

    pub(super) fn uid_exists(&self, uid: &str) -> bool {
        self.objects.uids.contains(uid)
    }

    /// Stores `value` under a fresh resource version.
    pub(super) fn put(&mut self, storage: &Arc<str>, mut value: Value) -> Arc<Stored> {
        let resource_version = self.next(&mut value);
        let stored = Arc::new(Stored::new(value, resource_version));
        let key = key(stored.namespace(), stored.name());
        let before = self
            .objects
            .insert(storage, key.clone(), Arc::clone(&stored));
        let change = Change {
            key,
            before,
            after: Arc::clone(&stored),
            deleted: false,
        };
        self.changes.push((Arc::clone(storage), change));
        stored
    }

    /// Removes an object; returns its last state.
    pub(super) fn remove(&mut self, storage: &Arc<str>, key: &str) -> Option<Arc<Stored>> {
        let before = self.objects.remove(storage, key)?;
        let mut value = before.value.clone();
        let resource_version = self.next(&mut value);
        let after = Arc::new(Stored::new(value, resource_version));
        let change = Change {
            key: key.to_owned(),
            before: Some(before),
            after: Arc::clone(&after),
            deleted: true,
        };
        self.changes.push((Arc::clone(storage), change));
        Some(after)
    }

    fn next(&mut self, value: &mut Value) -> u64 {
        // What is not stored gets no version of its own: an object keeps the one it has.
        if !self.dry_run {
            self.objects.resource_version += 1;
            value["metadata"]["resourceVersion"] = self.objects.resource_version.to_string().into();
        }
        self.objects.resource_version
    }

    fn undo(&mut self, start: usize, resource_version: u64) {
        while self.changes.len() > start {
            if let Some((storage, change)) = self.changes.pop() {
                match change.before {
                    Some(before) => {
                        self.objects.insert(&storage, change.key, before);
                    }
                    None => {
                        self.objects.remove(&storage, &change.key);
                    }
                }
            }
        }
        self.objects.resource_version = resource_version;
    }
}

type Done = Box<dyn FnOnce(Result<(), &Refusal>) + Send>;
type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> Done + Send>;

/// What the commit thread works on.
#[derive(Debug, Default, Clone)]
struct Objects {
    resource_version: u64,
    maps: HashMap<Arc<str>, BTreeMap<String, Arc<Stored>>>,
    dependents: HashMap<String, BTreeSet<(Arc<str>, String)>>,
    uids: BTreeSet<String>,
}

impl Objects {
    fn insert(
        &mut self,
        storage: &Arc<str>,
        key: String,
        stored: Arc<Stored>,
    ) -> Option<Arc<Stored>> {
        let before = self.remove(storage, &key);
        for owner in owner_uids(&stored.value) {
            self.dependents
                .entry(owner.to_owned())
                .or_default()
                .insert((Arc::clone(storage), key.clone()));
        }
        self.uids.insert(stored.uid().to_owned());
        self.maps
            .entry(Arc::clone(storage))
            .or_default()
            .insert(key, stored);
        before
    }

    fn remove(&mut self, storage: &Arc<str>, key: &str) -> Option<Arc<Stored>> {
        let before = self.maps.get_mut(storage)?.remove(key)?;
        for owner in owner_uids(&before.value) {
            if let Some(places) = self.dependents.get_mut(owner) {
                places.remove(&(Arc::clone(storage), key.to_owned()));
                if places.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        self.uids.remove(before.uid());
        Some(before)
    }
}

/// What readers see.
#[derive(Debug, Default)]
struct Shared {
    resource_version: u64,
    /// History is not kept across a restart.
    started_at: u64,
    collections: HashMap<Arc<str>, Collection>,
}

impl Shared {
    fn collection(&mut self, storage: &Arc<str>) -> &mut Collection {
        self.collections.entry(Arc::clone(storage)).or_default()
    }

    fn check_age(&self, collection: &Collection, asked: u64) -> Result<(), TooOld> {
        let oldest = collection.forgotten.max(self.started_at);
        if asked < oldest {
            Err(TooOld { asked, oldest })
        } else {
            Ok(())
        }
    }
}

#[derive(Debug, Default)]
struct Collection {
    objects: BTreeMap<String, Arc<Stored>>,
    history: VecDeque<Change>,
    history_bytes: usize,
    /// Changes up to this resource version are no longer in `history`.
    forgotten: u64,
    newest: watch::Sender<u64>,
}

impl Collection {
    fn apply(&mut self, change: Change) {
        if change.deleted {
            self.objects.remove(&change.key);
        } else {
            self.objects
                .insert(change.key.clone(), Arc::clone(&change.after));
        }
        self.history_bytes += change.after.rest.len();
        self.history.push_back(change);
        while self.history.len() > MAX_HISTORY
            || (self.history_bytes > MAX_HISTORY_BYTES && self.history.len() > 1)
        {
            if let Some(oldest) = self.history.pop_front() {
                self.history_bytes -= oldest.after.rest.len();
                self.forgotten = oldest.resource_version();
            }
        }
    }
}

fn commit_loop(
    mut queue: mpsc::Receiver<Job>,
    mut objects: Objects,
    mut journal: Option<Journal>,
    shared: &RwLock<Shared>,
) {
    while let Some(first) = queue.blocking_recv() {
        let version = objects.resource_version;
        let mut changes = Vec::new();
        let mut done = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            done.push(job(&mut Transaction {
                objects: &mut objects,
                changes: &mut changes,
                dry_run: false,
            }));
            next = if done.len() < MAX_BATCH {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        let committed = match &mut journal {
            Some(journal) if !changes.is_empty() => {
                journal.commit(objects.resource_version, &changes)
            }
            _ => Ok(()),
        };
        match committed {
            Ok(()) => {
                publish(shared, objects.resource_version, changes);
                done.into_iter().for_each(|done| done(Ok(())));
            }
            Err(error) => {
                tracing::error!(%error, "the memory cluster could not write its journal");
                Transaction {
                    objects: &mut objects,
                    changes: &mut changes,
                    dry_run: false,
                }
                .undo(0, version);
                let refusal = Refusal::internal("the journal could not be written");
                done.into_iter().for_each(|done| done(Err(&refusal)));
            }
        }
    }
}

fn publish(shared: &RwLock<Shared>, resource_version: u64, changes: Vec<(Arc<str>, Change)>) {
    let mut touched: Vec<Arc<str>> = Vec::new();
    let mut shared = shared.write().unwrap_or_else(PoisonError::into_inner);
    shared.resource_version = resource_version;
    for (storage, change) in changes {
        shared.collection(&storage).apply(change);
        if !touched.contains(&storage) {
            touched.push(storage);
        }
    }
    for storage in touched {
        shared
            .collection(&storage)
            .newest
            .send_replace(resource_version);
    }
}

fn range<'a>(
    map: &'a BTreeMap<String, Arc<Stored>>,
    namespace: Option<&str>,
) -> impl Iterator<Item = (&'a String, &'a Arc<Stored>)> + use<'a> {
    // '0' follows '/' in ASCII.
    let (from, to) = match namespace {
        Some(namespace) => (format!("{namespace}/"), Some(format!("{namespace}0"))),
        None => (String::new(), None),
    };
    map.range(from..)
        .take_while(move |(key, _)| to.as_ref().is_none_or(|to| *key < to))
}

fn in_namespace(key: &str, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|n| {
        key.strip_prefix(n)
            .is_some_and(|rest| rest.starts_with('/'))
    })
}

fn owner_uids(value: &Value) -> impl Iterator<Item = &str> {
    value["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|o| o["uid"].as_str())
}

/// An object without `kind` and `apiVersion`: lists name them once.
struct Headless<'a>(&'a Value);

impl Serialize for Headless<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.as_object().into_iter().flatten() {
            if key != "kind" && key != "apiVersion" {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

/// Writes waiting for the commit thread; more wait in their callers.
const MAX_QUEUED_WRITES: usize = 1024;
/// Writes of one durable commit.
const MAX_BATCH: usize = 256;
/// Changes of one resource that watches can still start from.
const MAX_HISTORY: usize = 8192;
const MAX_HISTORY_BYTES: usize = 64 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str, text: &str) -> Value {
        json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": text},
            "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}-{name}")}})
    }

    async fn put(store: &Store, namespace: &str, name: &str, text: &str) -> u64 {
        let value = object(namespace, name, text);
        store
            .write(false, move |t| {
                Ok(t.put(&"configmaps".into(), value).resource_version)
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn refused_and_dry_writes_leave_nothing() {
        let store = Store::open(None, |_| {}).unwrap();
        let before = put(&store, "a", "x", "1").await;
        let refused = store
            .write(false, |t| {
                t.put(&"configmaps".into(), object("a", "x", "2"));
                t.remove(&"configmaps".into(), "a/x");
                t.put(&"configmaps".into(), object("a", "y", "2"));
                Err::<(), _>(Refusal::bad_request("no"))
            })
            .await;
        assert!(refused.is_err());
        store
            .write(true, |t| {
                Ok(t.put(&"configmaps".into(), object("a", "z", "2")))
            })
            .await
            .unwrap();
        assert_eq!(store.resource_version(), before);
        let (_, all) = store.all("configmaps", None);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].value["data"]["a"], "1");
    }

    #[tokio::test]
    async fn namespaces_that_share_a_prefix_stay_apart() {
        let store = Store::open(None, |_| {}).unwrap();
        for namespace in ["a", "a-b", "a0", "ab"] {
            put(&store, namespace, "x", "1").await;
        }
        assert_eq!(store.all("configmaps", Some("a")).1.len(), 1);
        assert_eq!(store.all("configmaps", None).1.len(), 4);
    }

    #[tokio::test]
    async fn the_past_can_be_listed_until_it_is_forgotten() {
        let store = Store::open(None, |_| {}).unwrap();
        let first = put(&store, "a", "x", "1").await;
        put(&store, "a", "y", "1").await;
        put(&store, "a", "x", "2").await;
        store
            .write(false, |t| Ok(t.remove(&"configmaps".into(), "a/x")))
            .await
            .unwrap();
        let then = store.all_at("configmaps", Some("a"), first).unwrap();
        assert_eq!(then.len(), 1);
        assert_eq!(then[0].1.value["data"]["a"], "1");
        for round in 0..MAX_HISTORY {
            put(&store, "b", "z", &round.to_string()).await;
        }
        assert!(store.all_at("configmaps", None, first).is_err());
        assert!(store.changes("configmaps", first, 10).is_err());
        let newest = store.resource_version();
        assert_eq!(
            store.changes("configmaps", newest - 3, 2).unwrap().1.len(),
            2
        );
    }
}

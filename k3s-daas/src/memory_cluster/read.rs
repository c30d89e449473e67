//! get, list and watch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::convert;
use super::kinds::Resource;
use super::request::{Query, Request, ResourceTarget, View};
use super::selector::{FieldSelector, LabelSelector};
use super::server::{Payload, Reply};
use super::status::Refusal;
use super::store::{Change, Store, Stored, key};
use super::table;

impl Cluster {
    /// The object a path names.
    pub(super) fn found(
        &self,
        resource: &Resource,
        target: &ResourceTarget,
        name: &str,
    ) -> Result<Arc<Stored>, Refusal> {
        self.store
            .one(&resource.storage, &object_key(resource, target, name))
            .ok_or_else(|| Refusal::not_found(resource, name))
    }

    pub(super) fn get(
        &self,
        request: &Request,
        resource: &Resource,
        target: &ResourceTarget,
        name: &str,
    ) -> Result<Reply, Refusal> {
        let stored = self.found(resource, target, name);
        render(request, resource, StatusCode::OK, stored)
    }

    pub(super) fn list_or_watch(
        self: &Arc<Self>,
        request: &Request,
        resource: &Arc<Resource>,
        target: &ResourceTarget,
        shutdown: CancellationToken,
    ) -> Result<Reply, Refusal> {
        let filter = Filter::of(request, resource, target)?;
        if request.query.flag("watch") {
            return watch(&self.store, request, resource, filter, shutdown);
        }
        self.list(request, resource, &filter)
    }

    fn list(
        &self,
        request: &Request,
        resource: &Resource,
        filter: &Filter,
    ) -> Result<Reply, Refusal> {
        let accepted = request.accepted(|v| matches!(v, View::Table { .. } | View::PartialList))?;
        let page = self.page(&request.query, resource, filter)?;
        let metadata = page.metadata();
        let body = match accepted.view {
            View::Table { beta } => {
                let include = table::Include::parse(&request.query)?;
                let mut table = table::table(resource, beta, include, &page.objects, true);
                table["metadata"] = metadata;
                serde_json::to_vec(&table).unwrap_or_default()
            }
            View::PartialList => {
                let items: Vec<Value> = page.objects.iter().map(|o| partial(&o.value)).collect();
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items})
                .to_string()
                .into_bytes()
            }
            _ => list_bytes(resource, &metadata, &page.objects),
        };
        Ok(Reply::encoded(StatusCode::OK, accepted.yaml, body))
    }

    fn page(&self, query: &Query, resource: &Resource, filter: &Filter) -> Result<Page, Refusal> {
        let limit = query.number("limit")?.unwrap_or(0);
        let limit = if limit == 0 {
            usize::MAX
        } else {
            usize::try_from(limit).unwrap_or(usize::MAX)
        };
        let asked = check_version(&self.store, query)?;
        let exact = query.one("resourceVersionMatch") == Some("Exact");
        let namespace = filter.namespace.as_deref();
        let (resource_version, start) = match query.one("continue") {
            Some(token) => {
                let (version, start) = read_token(token)?;
                (Some(version), Some(start))
            }
            None if exact => (asked, None),
            None => (None, None),
        };
        let (resource_version, objects): (u64, Vec<Arc<Stored>>) = match resource_version {
            // An inconsistent continuation: from where the list stopped, as it is now.
            Some(0) => {
                let (version, all) = self.store.all(&resource.storage, namespace);
                let start = start.unwrap_or_default();
                (
                    version,
                    all.into_iter()
                        .filter(|o| key(o.namespace(), o.name()) >= start)
                        .collect(),
                )
            }
            Some(version) => match self.store.all_at(&resource.storage, namespace, version) {
                Ok(all) => {
                    let start = start.unwrap_or_default();
                    (
                        version,
                        all.into_iter()
                            .filter(|(key, _)| *key >= start)
                            .map(|(_, o)| o)
                            .collect(),
                    )
                }
                Err(old) => {
                    let Some(start) = start else {
                        return Err(old.refusal());
                    };
                    let mut refusal = Refusal::expired(CONTINUE_EXPIRED);
                    refusal.resume = Some(write_token(0, &start));
                    return Err(refusal);
                }
            },
            None => self.store.all(&resource.storage, namespace),
        };
        let mut page = Page {
            resource_version,
            objects: Vec::new(),
            resume: None,
            remaining: None,
        };
        let mut matching = objects.into_iter().filter(|o| filter.matches(&o.value));
        for object in matching.by_ref() {
            if page.objects.len() == limit {
                page.resume = Some(write_token(
                    resource_version,
                    &key(object.namespace(), object.name()),
                ));
                // Kubernetes counts only what needs no selector to count.
                page.remaining = filter.is_everything().then(|| matching.count() + 1);
                break;
            }
            page.objects.push(object);
        }
        Ok(page)
    }
}

/// The key under which the object of a path lies.
pub(super) fn object_key(resource: &Resource, target: &ResourceTarget, name: &str) -> String {
    key(
        target.namespace.as_deref().filter(|_| resource.namespaced),
        name,
    )
}

/// An object as the caller wants it.
pub(super) fn render(
    request: &Request,
    resource: &Resource,
    status: StatusCode,
    stored: Result<Arc<Stored>, Refusal>,
) -> Result<Reply, Refusal> {
    let accepted = request.accepted(|v| matches!(v, View::Table { .. } | View::Partial))?;
    let stored = stored?;
    let body = match accepted.view {
        View::Table { beta } => {
            let include = table::Include::parse(&request.query)?;
            let mut table =
                table::table(resource, beta, include, std::slice::from_ref(&stored), true);
            table["metadata"] = json!({"resourceVersion": stored.resource_version.to_string()});
            serde_json::to_vec(&table).unwrap_or_default()
        }
        View::Partial => serde_json::to_vec(&partial(&stored.value)).unwrap_or_default(),
        _ => {
            let mut body = Vec::with_capacity(stored.rest.len() + 64);
            write_object(&mut body, resource, &stored, true);
            body
        }
    };
    Ok(Reply::encoded(status, accepted.yaml, body))
}

/// `PartialObjectMetadata` of an object.
pub(super) fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// What a list or watch selects.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
    name: Option<String>,
}

impl Filter {
    pub(super) fn of(
        request: &Request,
        resource: &Resource,
        target: &ResourceTarget,
    ) -> Result<Self, Refusal> {
        let query = &request.query;
        Ok(Self {
            namespace: target.namespace.clone().filter(|_| resource.namespaced),
            labels: LabelSelector::parse(query.one("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(query.one("fieldSelector").unwrap_or_default(), resource)?,
            name: target.name.clone(),
        })
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        self.name
            .as_ref()
            .is_none_or(|name| metadata["name"] == name.as_str())
            && self.labels.matches(&metadata["labels"])
            && self.fields.matches(object)
    }

    fn is_everything(&self) -> bool {
        self.name.is_none()
            && self.labels == LabelSelector::default()
            && self.fields == FieldSelector::default()
    }

    fn covers(&self, change: &Change) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|n| change.after.namespace() == Some(n))
    }
}

struct Page {
    resource_version: u64,
    objects: Vec<Arc<Stored>>,
    resume: Option<String>,
    remaining: Option<usize>,
}

impl Page {
    fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.resource_version.to_string()});
        if let Some(resume) = &self.resume {
            metadata["continue"] = resume.clone().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }
}

/// The `resourceVersion` asked for, which must not lie in the future.
fn check_version(store: &Store, query: &Query) -> Result<Option<u64>, Refusal> {
    let matching = query.one("resourceVersionMatch");
    let Some(text) = query.one("resourceVersion") else {
        if matching.is_some() && !query.flag("sendInitialEvents") {
            return Err(Refusal::bad_request(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        return Ok(None);
    };
    let asked: u64 = text.parse().map_err(|_| {
        Refusal::bad_request(format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"))
    })?;
    let current = store.resource_version();
    if asked > current {
        let mut refusal = Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            format!("Too large resource version: {asked}, current: {current}"),
        );
        refusal.details = Some(json!({"retryAfterSeconds": 1,
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}));
        return Err(refusal);
    }
    Ok(Some(asked))
}

fn write_token(resource_version: u64, start: &str) -> String {
    URL_SAFE_NO_PAD
        .encode(json!({"v": "meta.k8s.io/v1", "rv": resource_version, "start": start}).to_string())
}

fn read_token(token: &str) -> Result<(u64, String), Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok();
    let value: Option<Value> = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value
        .filter(|v| v["v"] == "meta.k8s.io/v1")
        .and_then(|v| Some((v["rv"].as_u64()?, v["start"].as_str()?.to_owned())))
        .ok_or_else(|| {
            Refusal::bad_request("continue key is not valid: unable to decode the continue token")
        })
}

/// Appends an object; `headed` with its kind and version, as everywhere but in lists.
pub(super) fn write_object(out: &mut Vec<u8>, resource: &Resource, stored: &Stored, headed: bool) {
    out.push(b'{');
    if headed {
        let kind = Value::from(resource.kind.as_str());
        let version = Value::from(resource.api_version());
        out.extend_from_slice(format!("\"kind\":{kind},\"apiVersion\":{version},").as_bytes());
    }
    match convert::to_served(resource, &stored.value) {
        Some(converted) => {
            out.extend_from_slice(&Stored::new(converted, stored.resource_version).rest)
        }
        None => out.extend_from_slice(&stored.rest),
    }
}

fn list_bytes(resource: &Resource, metadata: &Value, objects: &[Arc<Stored>]) -> Vec<u8> {
    let size: usize = objects.iter().map(|o| o.rest.len() + 64).sum();
    let mut body = Vec::with_capacity(size + 256);
    let (kind, version) = (
        Value::from(resource.list_kind.as_str()),
        Value::from(resource.api_version()),
    );
    body.extend_from_slice(
        format!("{{\"kind\":{kind},\"apiVersion\":{version},\"metadata\":{metadata},\"items\":[")
            .as_bytes(),
    );
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_object(&mut body, resource, object, resource.custom.is_some());
    }
    body.extend_from_slice(b"]}\n");
    body
}

fn watch(
    store: &Store,
    request: &Request,
    resource: &Arc<Resource>,
    filter: Filter,
    shutdown: CancellationToken,
) -> Result<Reply, Refusal> {
    let accepted = request
        .accepted(|v| matches!(v, View::Table { .. } | View::Partial | View::PartialList))?;
    let query = &request.query;
    let asked = check_version(store, query)?;
    let initial = query
        .one("sendInitialEvents")
        .map(|_| query.flag("sendInitialEvents"));
    if initial.is_some() && query.one("resourceVersionMatch") != Some("NotOlderThan") {
        return Err(Refusal::bad_request(
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let seconds = match query.number("timeoutSeconds")? {
        Some(0) | None => 1800 + u64::from(super::write::random_bytes()[0]) * 7,
        Some(seconds) => seconds,
    };
    let bookmarks = query.flag("allowWatchBookmarks");
    let printer = Printer {
        resource: Arc::clone(resource),
        view: accepted.view,
        include: table::Include::parse(query)?,
        columns_sent: false,
    };
    let mut watcher = Watcher {
        wake: store.subscribe(&resource.storage),
        store: store.clone(),
        filter,
        printer,
        reached: 0,
        pending: VecDeque::new(),
        bookmarks: bookmarks
            .then(|| tokio::time::interval_at(tokio::time::Instant::now() + BOOKMARK, BOOKMARK)),
        ended: false,
    };
    match (initial, asked) {
        (Some(true), _) => {
            watcher.begin_with_current();
            if bookmarks {
                watcher.bookmark(true);
            }
        }
        (Some(false), None | Some(0)) => watcher.reached = store.resource_version(),
        (_, None | Some(0)) => watcher.begin_with_current(),
        (_, Some(version)) => watcher.reached = version,
    }
    let deadline = tokio::time::sleep(Duration::from_secs(seconds));
    let end = async move {
        tokio::select! {
            () = shutdown.cancelled_owned() => {}
            () = deadline => {}
        }
    };
    let frames = futures_util::stream::unfold(watcher, |mut watcher| async move {
        let frame = watcher.next().await?;
        Some((frame, watcher))
    });
    let mut reply = Reply::bytes(StatusCode::OK, "application/json", Bytes::new());
    reply.payload = Payload::Frames(frames.take_until(Box::pin(end)).boxed());
    Ok(reply)
}

struct Watcher {
    store: Store,
    wake: tokio::sync::watch::Receiver<u64>,
    filter: Filter,
    printer: Printer,
    /// Everything up to this resource version was sent.
    reached: u64,
    pending: VecDeque<Vec<u8>>,
    bookmarks: Option<tokio::time::Interval>,
    ended: bool,
}

impl Watcher {
    fn begin_with_current(&mut self) {
        let (version, objects) = self
            .store
            .all(&self.printer.resource.storage, self.filter.namespace());
        for object in objects.iter().filter(|o| self.filter.matches(&o.value)) {
            let line = self.printer.event("ADDED", object);
            self.pending.push_back(line);
        }
        self.reached = version;
    }

    /// The next bytes; nothing when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.pending.is_empty() {
                return Some(self.frame());
            }
            if self.ended {
                return None;
            }
            self.wake.borrow_and_update();
            match self.store.changes(
                &self.printer.resource.storage,
                self.reached,
                CHANGES_AT_ONCE,
            ) {
                Ok((reached, changes)) => {
                    self.reached = reached;
                    for change in &changes {
                        self.queue(change);
                    }
                    if !changes.is_empty() {
                        continue;
                    }
                }
                Err(old) => {
                    let status = old.refusal().to_value();
                    self.pending
                        .push_back(line(&json!({"type": "ERROR", "object": status})));
                    self.ended = true;
                    continue;
                }
            }
            let bookmark = async {
                match &mut self.bookmarks {
                    Some(interval) => interval.tick().await,
                    None => std::future::pending().await,
                }
            };
            let due = tokio::select! {
                changed = self.wake.changed() => {
                    self.ended = changed.is_err();
                    false
                }
                _ = bookmark => true,
            };
            if due {
                self.bookmark(false);
            }
        }
    }

    /// Some pending events, up to a bounded size.
    fn frame(&mut self) -> Bytes {
        let mut frame = self.pending.pop_front().unwrap_or_default();
        while frame.len() < FRAME {
            match self.pending.pop_front() {
                Some(event) => frame.extend_from_slice(&event),
                None => break,
            }
        }
        frame.into()
    }

    fn queue(&mut self, change: &Change) {
        if !self.filter.covers(change) {
            return;
        }
        let before = change
            .before
            .as_ref()
            .is_some_and(|b| self.filter.matches(&b.value));
        let after = !change.deleted && self.filter.matches(&change.after.value);
        let event = match (before, after) {
            (false, true) => self.printer.event("ADDED", &change.after),
            (true, true) => self.printer.event("MODIFIED", &change.after),
            (true, false) => self.printer.event("DELETED", &change.after),
            (false, false) => return,
        };
        self.pending.push_back(event);
    }

    fn bookmark(&mut self, initial_end: bool) {
        let line = self.printer.bookmark(self.reached, initial_end);
        self.pending.push_back(line);
    }
}

/// Writes events in the form asked for.
struct Printer {
    resource: Arc<Resource>,
    view: View,
    include: table::Include,
    columns_sent: bool,
}

impl Printer {
    fn event(&mut self, kind: &str, stored: &Arc<Stored>) -> Vec<u8> {
        let object = match self.view {
            View::Table { beta } => self.row(beta, stored),
            View::Partial | View::PartialList => partial(&stored.value),
            _ => {
                let mut out = Vec::with_capacity(stored.rest.len() + 128);
                out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
                write_object(&mut out, &self.resource, stored, true);
                out.extend_from_slice(b"}\n");
                return out;
            }
        };
        line(&json!({"type": kind, "object": object}))
    }

    fn row(&mut self, beta: bool, stored: &Arc<Stored>) -> Value {
        let rows = std::slice::from_ref(stored);
        let mut table = table::table(&self.resource, beta, self.include, rows, !self.columns_sent);
        table["metadata"] = json!({"resourceVersion": stored.resource_version.to_string()});
        self.columns_sent = true;
        table
    }

    fn bookmark(&mut self, resource_version: u64, initial_end: bool) -> Vec<u8> {
        let mut metadata =
            json!({"resourceVersion": resource_version.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata});
        match self.view {
            View::Table { beta } => {
                let stored = Arc::new(Stored::new(object, resource_version));
                object = self.row(beta, &stored);
            }
            View::Partial | View::PartialList => object = partial(&object),
            _ => {}
        }
        line(&json!({"type": "BOOKMARK", "object": object}))
    }
}

fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

const BOOKMARK: Duration = Duration::from_secs(60);
/// Changes rendered before any of them is sent.
const CHANGES_AT_ONCE: usize = 256;
const FRAME: usize = 32 << 10;
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. \
    You can start a new list without the continue parameter, or use the continue token in this response to \
    retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - \
    objects that were created, modified, or deleted between the time the first chunk was returned and now may \
    show up in the list.";

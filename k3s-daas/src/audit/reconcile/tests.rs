//! Forged logs of clusters, held against a real ledger.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::audit::verify;
use crate::crypto::{Ed25519Signer, Signer};
use crate::ledger::Ledger;
use crate::ledger::conformance::{Backend, Fixture, Instance};
use crate::ledger::local::{Genesis, LocalLedger};
use crate::types::{Address, MIST_PER_SUI, format_timestamp};
use crate::wire::RequestMessage;

/// A ledger in a directory, and what a cluster logged.
struct World {
    fixture: Fixture,
    instance: Box<dyn Instance>,
    dir: tempfile::TempDir,
    log: Vec<Value>,
    audit_ids: u32,
}

struct OnDisk<'a>(&'a Path);

struct Opened(std::path::PathBuf);

#[async_trait]
impl Backend for OnDisk<'_> {
    async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance> {
        let signer = Arc::new(Ed25519Signer::generate());
        LocalLedger::create(self.0, Genesis::new(funds.to_vec()), signer)
            .await
            .unwrap();
        Box::new(Opened(self.0.to_owned()))
    }
}

#[async_trait]
impl Instance for Opened {
    async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger> {
        Arc::new(LocalLedger::open(&self.0, signer).unwrap())
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (fixture, instance) = Fixture::new(&OnDisk(dir.path())).await;
        let deposit = fixture.deposit(2 * MIST_PER_SUI);
        fixture.owner.call(deposit).await.unwrap();
        let mut world = Self {
            fixture,
            instance,
            dir,
            log: Vec::new(),
            audit_ids: 0,
        };
        // Somebody else's, so that the log begins long before and ends long after everything.
        for ms in [-60_000, 60_000] {
            let mut other = world.seen("GET", "/api/v1/nodes", Some(200));
            other["user"]["username"] = json!("system:kube-scheduler");
            at(&mut other, now_ms() + ms);
            world.log.push(other);
        }
        world
    }

    async fn admit(&self, method: &str) -> Admitted {
        let request = self.fixture.request(method);
        let call = self.fixture.execute(&request);
        let receipt = self.fixture.gateway.call(call).await.unwrap();
        let Event::K8sApiRequest(event) = &receipt.events[0].event else {
            unreachable!()
        };
        Admitted {
            request,
            event: event.clone(),
        }
    }

    async fn answer(&self, admitted: &Admitted, status: u16) {
        let digest = admitted.event.digest;
        let answer = self.fixture.answer(&admitted.request, digest, status);
        self.fixture.operator.call(answer).await.unwrap();
    }

    /// Admitted, seen by the cluster, answered.
    async fn done(&mut self, method: &str, status: u16) -> (Admitted, usize) {
        let admitted = self.admit(method).await;
        let place = self.see(&admitted, status);
        self.answer(&admitted, status).await;
        (admitted, place)
    }

    /// What the cluster logs of it, both stages; the place of the second.
    fn see(&mut self, admitted: &Admitted, code: u16) -> usize {
        let (method, uri) = (admitted.event.method.to_string(), PODS);
        let begun = self.seen(&method, uri, None);
        self.log.push(begun);
        let mut ended = self.log[self.log.len() - 1].clone();
        ended["stage"] = json!("ResponseComplete");
        ended["responseStatus"] = json!({"metadata": {}, "code": code});
        ended["impersonatedUser"] = json!({
            "username": self.user(),
            "groups": ["system:authenticated"],
            "extra": {"daas.dev/request-id": [admitted.event.request_id.to_string()]},
        });
        self.log.push(ended);
        self.log.len() - 1
    }

    fn user(&self) -> String {
        format!("seal:{}", self.fixture.token)
    }

    /// An event of Nautilus's account now.
    fn seen(&mut self, method: &str, uri: &str, code: Option<u16>) -> Value {
        self.audit_ids += 1;
        let verb = match method {
            "GET" => "list",
            "POST" => "create",
            "DELETE" => "deletecollection",
            other => other,
        };
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("audit-{}", self.audit_ids), "stage": "RequestReceived",
            "requestURI": uri, "verb": verb,
            "user": {"username": NAUTILUS_ACCOUNT, "groups": ["system:serviceaccounts"]},
        });
        if let Some(code) = code {
            event["stage"] = json!("ResponseComplete");
            event["responseStatus"] = json!({"code": code});
        }
        // No two at the same microsecond, as two of one audit ID would be the same.
        std::thread::sleep(Duration::from_millis(1));
        at(&mut event, now_ms());
        event
    }

    fn text(&self) -> String {
        let lines = self.log.iter().map(|event| format!("{event}\n"));
        lines.collect()
    }

    fn reconcile_with(&self, change: impl FnOnce(&mut ReconcileOptions)) -> Reconciliation {
        let mut options = ReconcileOptions {
            clock_skew: Duration::ZERO,
            ..ReconcileOptions::default()
        };
        change(&mut options);
        let logs = [log(self.text())];
        let result = reconcile(self.dir.path(), logs, &options).unwrap();
        assert_eq!(result.ledger.broken, None);
        let is_covered = result.counts.uncovered == 0;
        assert_eq!(result.clean, result.found.is_empty() && is_covered);
        result
    }

    fn reconcile(&self) -> Reconciliation {
        self.reconcile_with(|_| {})
    }

    /// What is found once the log is as `change` makes it.
    fn found(&self, change: impl FnOnce(&mut Vec<Value>)) -> Vec<FindingKind> {
        let mut changed = self.log.clone();
        change(&mut changed);
        let lines: String = changed.iter().map(|event| format!("{event}\n")).collect();
        let options = ReconcileOptions {
            clock_skew: Duration::ZERO,
            ..ReconcileOptions::default()
        };
        let result = reconcile(self.dir.path(), [log(lines)], &options).unwrap();
        result.findings.iter().map(|finding| finding.kind).collect()
    }
}

struct Admitted {
    request: RequestMessage,
    event: K8sApiRequest,
}

const PODS: &str = "/api/v1/namespaces/default/pods";

fn log(text: String) -> ClusterLog {
    ClusterLog::new("audit.log", io::Cursor::new(text.into_bytes()))
}

fn now_ms() -> i64 {
    i64::try_from(wall_clock_ms()).unwrap()
}

/// Sets both times.
fn at(event: &mut Value, ms: i64) {
    let seconds = format_timestamp(ms.div_euclid(1000));
    let text = seconds.replace('Z', &format!(".{:03}000Z", ms.rem_euclid(1000)));
    event["requestReceivedTimestamp"] = json!(text);
    event["stageTimestamp"] = json!(text);
}

#[tokio::test]
async fn what_is_the_same_in_both_is_clean() {
    let mut world = World::new().await;
    world.done("GET", 200).await;
    world.done("POST", 201).await;
    world.done("POST", 403).await;
    // Unknown to the client, known to the cluster.
    let unknown = world.admit("POST").await;
    world.see(&unknown, 201);
    world.answer(&unknown, 504).await;
    // A read that broke off, and an answer with too many bytes.
    for (method, status) in [("GET", 503), ("POST", 507)] {
        let admitted = world.admit(method).await;
        world.see(&admitted, 200);
        world.answer(&admitted, status).await;
    }
    // Never sent, and answered so; never answered; executed and not answered yet.
    let not_sent = world.admit("POST").await;
    world.answer(&not_sent, 503).await;
    world.admit("POST").await;
    let pending = world.admit("POST").await;
    world.see(&pending, 201);
    let probe = world.seen("GET", "/readyz", Some(200));
    world.log.push(probe);
    // The admin's own business is none of ours.
    let mut other = world.seen("DELETE", PODS, Some(200));
    other["user"]["username"] = json!("kubernetes-admin");
    world.log.push(other);

    let result = world.reconcile();
    assert!(result.clean, "{:?}", result.findings);
    let expected = Counts {
        events: 18,
        requests: 8,
        probes: 1,
        admitted: 9,
        matched: 3,
        unanswered: 1,
        unknown: 1,
        not_passed_on: 2,
        without_cluster: 2,
        ..Counts::default()
    };
    assert_eq!(result.counts, expected);
    assert_eq!(result.truncated, Vec::<String>::new());
    serde_json::to_string(&result).unwrap();
}

#[tokio::test]
async fn what_nautilus_asks_for_without_the_ledger_is_found() {
    let mut world = World::new().await;
    let (_, place) = world.done("POST", 201).await;
    assert_eq!(world.found(|_| {}), []);
    let forged = |change: &dyn Fn(&mut Value)| {
        let mut forged = world.log[place].clone();
        forged["auditID"] = json!("forged");
        change(&mut forged);
        world.found(|log| log.push(forged))
    };
    let user = &["impersonatedUser", "username"];
    let id = "daas.dev/request-id";
    let fresh = RequestId::new().to_string();
    let upper = world.user().to_uppercase().replace("SEAL:0X", "seal:0x");
    let padded = world.user().replace("0x", "0x00");
    let unrecorded: [&dyn Fn(&mut Value); 11] = [
        &|event| event["impersonatedUser"]["extra"][id] = json!([fresh]),
        &|event| event["impersonatedUser"]["extra"][id] = json!([]),
        &|event| event["impersonatedUser"]["extra"][id] = json!(["1"]),
        &|event| event["impersonatedUser"]["extra"] = Value::Null,
        &|event| event[user[0]][user[1]] = json!(format!("seal:0x{:064x}", 5)),
        &|event| event[user[0]][user[1]] = json!("admin"),
        &|event| event[user[0]][user[1]] = json!(upper),
        &|event| event[user[0]][user[1]] = json!(padded),
        &|event| event["impersonatedUser"] = Value::Null,
        &|event| {
            event["impersonatedUser"] = Value::Null;
            event["verb"] = json!("get");
            event["requestURI"] = json!("/readyz?verbose");
        },
        &|event| {
            event["impersonatedUser"] = Value::Null;
            event["responseStatus"]["code"] = json!(403);
        },
    ];
    for (index, change) in unrecorded.into_iter().enumerate() {
        assert_eq!(forged(change), [FindingKind::Unrecorded], "{index}");
    }
}

#[tokio::test]
async fn others_who_act_as_a_token_are_found() {
    let mut world = World::new().await;
    let (admitted, place) = world.done("POST", 201).await;
    let mut other = world.log[place].clone();
    other["user"]["username"] = json!("kubernetes-admin");
    assert_eq!(
        world.found(|log| log.push(other.clone())),
        [FindingKind::Foreign]
    );
    // Refused or not, with Nautilus's audit ID or not: it is somebody else.
    other["responseStatus"]["code"] = json!(403);
    other["auditID"] = json!("other");
    world.log.push(other);
    let mut itself = world.seen("POST", PODS, Some(201));
    itself["user"]["username"] = json!(world.user());
    world.log.push(itself);
    let result = world.reconcile();
    assert_eq!(result.found, BTreeMap::from([(FindingKind::Foreign, 2)]));
    // Nor does it stand for the one that Nautilus should have made.
    world
        .log
        .retain(|event| event["user"]["username"] != NAUTILUS_ACCOUNT);
    let result = world.reconcile();
    assert_eq!(result.found[&FindingKind::Missing], 1);
    assert_eq!(
        result.findings[0].request_id,
        RequestId::from_bytes(&admitted.event.request_id).ok()
    );
}

#[tokio::test]
async fn another_command_than_admitted_is_found() {
    let mut world = World::new().await;
    let (_, place) = world.done("POST", 201).await;
    let changes: [(&str, Value); 6] = [
        ("verb", json!("deletecollection")),
        ("verb", json!("connect")),
        ("requestURI", json!(format!("{PODS}?dryRun=All"))),
        ("requestURI", json!(format!("{PODS}/"))),
        ("requestURI", json!("/api/v1/namespaces/other/pods")),
        ("requestURI", json!("")),
    ];
    for (field, value) in changes {
        // Both stages, since they are one request.
        let found = world.found(|log| {
            log[place - 1][field] = value.clone();
            log[place][field] = value.clone();
        });
        assert_eq!(found, [FindingKind::Altered], "{field} {value}");
    }
    let groups =
        |groups: Value| world.found(|log| log[place]["impersonatedUser"]["groups"] = groups);
    assert_eq!(groups(json!(["system:authenticated"])), []);
    for bad in [
        json!(["system:masters", "system:authenticated"]),
        json!(["developers"]),
    ] {
        assert_eq!(groups(bad), [FindingKind::Groups]);
    }
}

#[tokio::test]
async fn what_was_executed_twice_is_found() {
    let mut world = World::new().await;
    let (admitted, _) = world.done("POST", 201).await;
    world.see(&admitted, 409);
    // The second comes after the answer too.
    let found = world.reconcile().found;
    assert_eq!(found[&FindingKind::Repeated], 1);
    assert_eq!(found[&FindingKind::Untimely], 1);

    // A client chooses its audit ID, and cannot hide behind another's.
    let mut world = World::new().await;
    let admitted = world.admit("POST").await;
    let first = world.see(&admitted, 201);
    let second = world.see(&admitted, 201);
    world.answer(&admitted, 201).await;
    for place in [second - 1, second] {
        world.log[place]["auditID"] = world.log[first]["auditID"].clone();
    }
    assert_eq!(world.found(|_| {}), [FindingKind::Repeated]);
}

#[tokio::test]
async fn reads_may_be_executed_once_for_each_assignment() {
    let mut world = World::new().await;
    let admitted = world.admit("GET").await;
    world.see(&admitted, 200);
    world.see(&admitted, 200);
    assert_eq!(world.found(|_| {}), [FindingKind::Repeated]);
    let release = world
        .fixture
        .release(&admitted.request, admitted.event.digest);
    world.fixture.operator.call(release).await.unwrap();
    let result = world.reconcile();
    assert!(result.clean, "{:?}", result.findings);
    assert_eq!(result.counts.repeated_reads, 1);
    world.see(&admitted, 200);
    assert_eq!(world.found(|_| {}), [FindingKind::Repeated]);
    // An assignment makes no second write.
    let write = world.admit("POST").await;
    let release = world.fixture.release(&write.request, write.event.digest);
    world.fixture.operator.call(release).await.unwrap();
    world.see(&write, 201);
    world.see(&write, 201);
    assert_eq!(world.reconcile().found[&FindingKind::Repeated], 2);
}

#[tokio::test]
async fn another_time_is_found() {
    let mut world = World::new().await;
    let (_, place) = world.done("GET", 200).await;
    for ms in [-30_000, 30_000] {
        let changed = |log: &mut Vec<Value>| {
            at(&mut log[place - 1], now_ms() + ms);
            at(&mut log[place], now_ms() + ms);
        };
        let found = world.found(changed);
        let expected: &[_] = match ms < 0 {
            true => &[FindingKind::Untimely, FindingKind::Missing],
            false => &[FindingKind::Untimely],
        };
        assert_eq!(found, expected, "{ms}");
    }
    at(&mut world.log[place - 1], now_ms() - 3_000);
    at(&mut world.log[place], now_ms() - 3_000);
    let skewed = world.reconcile_with(|options| options.clock_skew = Duration::from_secs(5));
    assert!(skewed.clean, "{:?}", skewed.findings);
}

#[tokio::test]
async fn after_the_deadline_an_admission_is_none() {
    let mut world = World::new().await;
    let admitted = world.admit("POST").await;
    let place = world.see(&admitted, 201);
    let deadline_ms = i64::try_from(admitted.event.deadline_ms).unwrap();
    for (ms, expected) in [(0, &[][..]), (1, &[FindingKind::Untimely])] {
        let changed = |log: &mut Vec<Value>| {
            at(&mut log[place - 1], deadline_ms + ms);
            at(&mut log[place], deadline_ms + ms);
        };
        assert_eq!(world.found(changed), expected, "{ms}");
    }
    // What was answered “unknown” when it was over is no excuse for what comes then.
    world.answer(&admitted, 504).await;
    let late = |log: &mut Vec<Value>| {
        at(&mut log[place - 1], deadline_ms + 1);
        at(&mut log[place], deadline_ms + 1);
    };
    assert_eq!(world.found(late), [FindingKind::Untimely]);
}

#[tokio::test]
async fn what_the_cluster_never_saw_is_found() {
    let world = World::new().await;
    for (method, status) in [("POST", 201), ("GET", 200), ("POST", 409), ("POST", 507)] {
        let admitted = world.admit(method).await;
        world.answer(&admitted, status).await;
    }
    // These claim nothing of the cluster.
    for status in [400, 422, 500, 501, 502, 503, 504] {
        let admitted = world.admit("POST").await;
        world.answer(&admitted, status).await;
    }
    let result = world.reconcile();
    assert_eq!(result.found, BTreeMap::from([(FindingKind::Missing, 4)]));
    assert_eq!(result.counts.without_cluster, 7);
    let result = world.reconcile_with(|options| options.writes_only = true);
    assert_eq!(result.found, BTreeMap::from([(FindingKind::Missing, 3)]));
    assert_eq!(result.counts.reads_left_out, 1);
    let result = world.reconcile_with(|options| options.max_findings = 2);
    assert_eq!(
        (result.findings.len(), result.found[&FindingKind::Missing]),
        (2, 4)
    );
}

#[tokio::test]
async fn only_what_the_log_covers_is_missed() {
    let mut world = World::new().await;
    let admitted = world.admit("POST").await;
    world.answer(&admitted, 201).await;
    let ms = now_ms();
    let cases = [
        (-60_000, 60_000, 0, false),
        (-60_000, 60_000, 59_000, false),
        (-60_000, 60_000, 61_000, true),
        (-60_000, -1_000, 0, true),
        (1_000, 60_000, 0, true),
    ];
    for (from, to, skew, is_outside) in cases {
        at(&mut world.log[0], ms + from);
        at(&mut world.log[1], ms + to);
        let skew = Duration::from_millis(skew);
        let result = world.reconcile_with(|options| options.clock_skew = skew);
        assert_eq!(result.clean, is_outside, "{from} {to} {skew:?}");
        assert_eq!(result.counts.outside, u64::from(is_outside));
        // A log that should be whole there and does not reach so far is not clean.
        let later_ms = u64::try_from(ms).unwrap() + 3_600_000;
        let result = world.reconcile_with(|options| {
            options.clock_skew = skew;
            options.until_ms = Some(later_ms);
        });
        assert!(!result.clean, "{from} {to} {skew:?}");
        assert_eq!(result.counts.uncovered, u64::from(is_outside));
        let result = world.reconcile_with(|options| {
            options.clock_skew = skew;
            options.since_ms = Some(later_ms);
            options.until_ms = Some(later_ms);
        });
        assert_eq!(result.clean, is_outside, "{from} {to} {skew:?}");
    }
}

#[tokio::test]
async fn what_began_before_the_log_does_not_lengthen_it() {
    let mut world = World::new().await;
    let admitted = world.admit("POST").await;
    world.answer(&admitted, 201).await;
    let ms = now_ms();
    // The end of a long watch, whose beginning stood in a file that is gone.
    for event in &mut world.log {
        at(event, ms + 60_000);
        let begun = event["requestReceivedTimestamp"].clone();
        at(event, ms - 60_000);
        event["stageTimestamp"] = begun;
    }
    let result = world.reconcile();
    assert_eq!((result.clean, result.counts.outside), (true, 1));
}

#[tokio::test]
async fn another_status_is_found() {
    let mut world = World::new().await;
    for (method, cluster, recorded) in [
        ("POST", 409, 201),
        ("POST", 201, 409),
        ("POST", 201, 503),
        ("POST", 201, 501),
        ("GET", 200, 403),
        ("GET", 200, 400),
    ] {
        let admitted = world.admit(method).await;
        world.see(&admitted, cluster);
        world.answer(&admitted, recorded).await;
    }
    let result = world.reconcile();
    assert_eq!(result.found, BTreeMap::from([(FindingKind::Status, 6)]));
    let first = &result.findings[0];
    assert_eq!((first.status, first.recorded), (Some(409), Some(201)));
}

#[tokio::test]
async fn what_the_log_has_no_name_for_is_told_by_its_likeness() {
    let mut world = World::new().await;
    // Not allowed to impersonate; not authenticated; begun when the API server died.
    let forbidden = world.admit("POST").await;
    let mut event = world.seen("POST", PODS, Some(403));
    world.log.push(event);
    world.answer(&forbidden, 403).await;
    let nobody = world.admit("POST").await;
    event = world.seen("POST", PODS, Some(401));
    event["user"] = json!({});
    event["stage"] = json!("ResponseStarted");
    world.log.push(event);
    world.answer(&nobody, 401).await;
    for status in [201, 504] {
        let begun = world.admit("POST").await;
        event = world.seen("POST", PODS, None);
        world.log.push(event);
        world.answer(&begun, status).await;
    }
    let result = world.reconcile();
    assert!(result.clean, "{:?}", result.findings);
    assert_eq!(result.counts.by_likeness, 4);
    let strays = world.log.len() - 4..world.log.len();
    // One stands for one, of the same method, path, status and time, and of Nautilus.
    let doubled = world.log[strays.start].clone();
    let found = world.found(|log| {
        let mut doubled = doubled.clone();
        doubled["auditID"] = json!("again");
        log.push(doubled);
    });
    assert_eq!(found, [FindingKind::Unrecorded]);
    for stray in strays {
        for (field, value) in [
            ("requestURI", json!("/api/v1/pods")),
            ("verb", json!("delete")),
            ("user", json!({"username": "kubernetes-admin"})),
            (
                "requestReceivedTimestamp",
                json!("2020-01-01T00:00:00.000000Z"),
            ),
        ] {
            let found = world.found(|log| log[stray][field] = value.clone());
            assert!(!found.is_empty() || field == "user", "{stray} {field}");
        }
    }
    // What went through without a name is not what was refused.
    let forbidden = world.log.len() - 4;
    let found = world.found(|log| log[forbidden]["responseStatus"]["code"] = json!(201));
    assert_eq!(found, [FindingKind::Missing, FindingKind::Unrecorded]);
    // Two answers, and one request that may be either's.
    let both = [world.admit("POST").await, world.admit("POST").await];
    event = world.seen("POST", PODS, None);
    world.log.push(event);
    for admitted in &both {
        world.answer(admitted, 201).await;
    }
    assert_eq!(world.found(|_| {}), [FindingKind::Missing]);
}

#[tokio::test]
async fn files_in_any_order_and_twice_are_one_log() {
    let mut world = World::new().await;
    for _ in 0..3 {
        world.done("POST", 201).await;
    }
    let mut lines: Vec<String> = world.log.iter().map(|event| format!("{event}\n")).collect();
    lines.reverse();
    let half = lines.len() / 2;
    let (later, earlier) = (lines[..half].concat(), lines[half..].concat());
    let options = ReconcileOptions {
        clock_skew: Duration::ZERO,
        ..ReconcileOptions::default()
    };
    let logs = [&later, &earlier, &later].map(|text| log(text.clone()));
    let result = reconcile(world.dir.path(), logs, &options).unwrap();
    assert!(result.clean, "{:?}", result.findings);
    assert_eq!((result.counts.requests, result.counts.matched), (3, 3));
    // As one that is being written.
    let cut = lines.concat();
    let cut = format!("{cut}{}", &lines[0][..40]);
    let result = reconcile(world.dir.path(), [log(cut)], &options).unwrap();
    assert_eq!(result.truncated, ["audit.log"]);
    assert!(result.clean);
}

#[tokio::test]
async fn another_cluster_of_the_ledger_is_another() {
    let mut world = World::new().await;
    world.done("POST", 201).await;
    let cluster = world.fixture.cluster;
    assert!(
        world
            .reconcile_with(|options| options.cluster = Some(cluster))
            .clean
    );
    let other = ClusterId::new([7; 32]);
    let result = world.reconcile_with(|options| options.cluster = Some(other));
    assert_eq!(result.found, BTreeMap::from([(FindingKind::Unrecorded, 1)]));
    assert_eq!(result.counts.admitted, 0);
    // Under another name Nautilus is a stranger.
    let result = world.reconcile_with(|options| options.accounts = vec!["nautilus".to_owned()]);
    assert_eq!(
        result.found,
        BTreeMap::from([(FindingKind::Foreign, 1), (FindingKind::Missing, 1)])
    );
}

#[tokio::test]
async fn a_broken_ledger_and_a_log_of_nothing_prove_nothing() {
    let mut world = World::new().await;
    world.done("POST", 201).await;
    let options = ReconcileOptions::default();
    let dir = world.dir.path();
    let nothing = reconcile(dir, [log(String::new())], &options);
    assert!(matches!(nothing, Err(ReconcileError::Empty)), "{nothing:?}");
    let none = reconcile(dir, [], &options);
    assert!(matches!(none, Err(ReconcileError::Empty)), "{none:?}");
    let garbage = reconcile(dir, [log(world.text()), log("x\n".to_owned())], &options);
    assert_eq!(
        garbage.unwrap_err().to_string(),
        "audit.log:1: it is no JSON object"
    );
    let absent = reconcile(dir, [ClusterLog::file("/nowhere/audit.log")], &options);
    assert_eq!(
        absent.unwrap_err().to_string(),
        "/nowhere/audit.log cannot be read"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let no_ledger = reconcile(elsewhere.path(), [log(world.text())], &options);
    assert!(matches!(
        no_ledger,
        Err(ReconcileError::Ledger(ledger::Error::NotFound(_)))
    ));

    let text = world.text();
    let copy = tempfile::tempdir().unwrap();
    let signer = Arc::new(Ed25519Signer::generate());
    let ledger = LocalLedger::open(dir, signer).unwrap();
    ledger.copy_to(copy.path()).await.unwrap();
    drop((ledger, world.fixture, world.instance));
    let database = rusqlite::Connection::open(copy.path().join("ledger.db")).unwrap();
    let changed = database.execute(
        "UPDATE calls SET time_ms = time_ms + 1 WHERE sequence = 3",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    assert!(!verify(copy.path(), &Options::default()).unwrap().verified);
    let result = reconcile(copy.path(), [log(text)], &options).unwrap();
    assert!(!result.clean && result.ledger.broken.is_some());
    assert_eq!(result.counts.matched, 0, "nothing is compared");
}

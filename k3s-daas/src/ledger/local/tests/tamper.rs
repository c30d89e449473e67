//! Whatever a database tool does to a row, it is found and named.

use std::fs;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::*;
use crate::audit::{self, BrokenLink};
use crate::contract::Code;
use crate::ledger::conformance::Fixture;
use crate::types::RequestId;

/// A ledger on which a bit of everything happened, as one file.
async fn rich_ledger() -> (tempfile::TempDir, RequestId) {
    let backend = Shared::default();
    let (fixture, _instance) = Fixture::new(&backend).await;
    for amount in [MIST_PER_SUI, 2 * MIST_PER_SUI] {
        fixture.owner.call(fixture.deposit(amount)).await.unwrap();
    }
    let mut answered = None;
    for index in 0..6 {
        let request = fixture.request(["GET", "POST"][index % 2]);
        let receipt = fixture
            .gateway
            .call(fixture.execute(&request))
            .await
            .unwrap();
        let Event::K8sApiRequest(admitted) = &receipt.events[0].event else {
            unreachable!()
        };
        if index % 3 == 0 {
            let answer = fixture.answer(&request, admitted.digest, 200);
            fixture.operator.call(answer).await.unwrap();
            answered = Some(RequestId::from_bytes(&request.request_id).unwrap());
        }
    }
    let mut refused = fixture.request("GET");
    refused.path = "/api/v1/secrets".into();
    let refuse = |request| Call::RecordRefusal {
        cluster: fixture.cluster,
        token: fixture.token,
        request,
    };
    fixture.gateway.call(refuse(refused)).await.unwrap();
    // This one would pass, so it leaves a call without an event.
    let passes = fixture.request("GET");
    let silent = fixture.gateway.call(refuse(passes)).await.unwrap();
    assert!(silent.events.is_empty());

    let ledger = backend.ledger.lock().unwrap().clone().unwrap();
    for _ in 0..2 {
        ledger.sign_head().await.unwrap();
        fixture.operator.call(fixture.deposit(1)).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&ledger, dir.path()).await;
    (dir, answered.unwrap())
}

#[tokio::test]
async fn the_trail_of_a_request_is_told() {
    let (dir, request) = rich_ledger().await;
    let trails = audit::trail(dir.path(), request).unwrap();
    let [trail] = &trails[..] else {
        panic!("one token held it: {trails:?}");
    };
    let kinds: Vec<_> = trail.steps.iter().map(|step| step.kind).collect();
    assert_eq!(
        kinds,
        [audit::StepKind::Admitted, audit::StepKind::Answered]
    );
    let command = trail.command.as_deref();
    assert_eq!(command, Some("POST /api/v1/namespaces/default/pods"));
    let [admitted, answered] = &trail.steps[..] else {
        unreachable!()
    };
    assert_eq!(admitted.executor, answered.executor);
    assert_eq!(answered.status, Some(200));
    assert!(answered.executor_key.is_some());
    assert!(admitted.time_ms <= answered.time_ms);
    let unknown = audit::trail(dir.path(), RequestId::new()).unwrap();
    assert_eq!(unknown, []);
    serde_json::to_string(&trails).unwrap();
}

#[tokio::test]
async fn what_happened_is_counted() {
    let (dir, _) = rich_ledger().await;
    let report = audit::verify(dir.path(), &audit::Options::default()).unwrap();
    assert_eq!(report.broken, None);
    assert!(report.verified);
    assert_eq!(
        (report.admitted, report.answered, report.rejected),
        (6, 2, 1)
    );
    assert_eq!((report.calls, report.events, report.heads), (17, 16, 3));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verified"], true);
    assert_eq!(json["broken"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_changed_deleted_or_added_is_found() {
    let (dir, _) = rich_ledger().await;
    let whole = dir.path().join("ledger.db");
    let work = tempfile::tempdir().unwrap();
    let database = work.path().join("ledger.db");
    let mut tried = 0;
    for (table, key) in [
        ("meta", "name"),
        ("calls", "sequence"),
        ("events", "sequence"),
        ("heads", "sequence"),
        ("balances", "account"),
        ("clusters", "id"),
        ("tokens", "id"),
        ("executors", "id"),
        ("requests", "id"),
    ] {
        let reader = Connection::open(&whole).unwrap();
        let (columns, rows) = contents(&reader, table);
        drop(reader);
        assert!(!rows.is_empty(), "{table} has rows");
        let ends = |index: usize| index < 3 || index + 3 >= rows.len();
        let rows_tried = rows.iter().enumerate();
        for (_, row) in rows_tried.filter(|(index, _)| ends(*index) || index % 5 == 0) {
            let mut attempt = |edit: Edit<'_>| {
                for suffix in ["", "-wal", "-shm"] {
                    let _ = fs::remove_file(work.path().join(format!("ledger.db{suffix}")));
                }
                fs::copy(&whole, &database).unwrap();
                let edited = Connection::open(&database).unwrap();
                if !edit.make(&edited, table, key, &columns, row) {
                    return;
                }
                drop(edited);
                tried += 1;
                let report = audit::verify(work.path(), &audit::Options::default()).unwrap();
                let Some(broken) = report.broken else {
                    panic!("not found: {table} {:?}: {edit:?}", row[0]);
                };
                assert!(!report.verified);
                assert!(
                    edit.is_named(table, &row[0], &broken),
                    "{table} {:?} {edit:?} is said to be: {broken}",
                    row[0]
                );
            };
            for (index, column) in columns.iter().enumerate() {
                for changed in changes(&row[index]) {
                    attempt(Edit::Update(column, changed));
                }
            }
            attempt(Edit::Delete);
            for changed in changes(&row[0]) {
                attempt(Edit::Insert(changed));
            }
        }
        // The contents of two rows exchanged, which leaves every sum as it was.
        if let [first, .., last] = &rows[..] {
            fs::copy(&whole, &database).unwrap();
            let edited = Connection::open(&database).unwrap();
            let column = columns.last().unwrap();
            let (a, b) = (first.last().unwrap(), last.last().unwrap());
            if a != b {
                set(&edited, table, key, column, &first[0], b);
                set(&edited, table, key, column, &last[0], a);
                drop(edited);
                let report = audit::verify(work.path(), &audit::Options::default()).unwrap();
                assert!(report.broken.is_some(), "{table}: exchanged rows");
            }
        }
    }
    assert!(tried > 900, "only {tried} edits were possible");
}

#[tokio::test]
async fn an_attacker_who_mends_every_link_is_found_by_a_head() {
    // Not a row, but the whole log is replaced by another that holds in itself.
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let fork = tempfile::tempdir().unwrap();
    copy(&ledger, fork.path()).await;
    ledger.call(deposit(token)).await.unwrap();
    let head = ledger.sign_head().await.unwrap().message.head;

    let forked = LocalLedger::open(fork.path(), signer(&key)).unwrap();
    for _ in 0..3 {
        forked.call(deposit(token)).await.unwrap();
    }
    let options = audit::Options {
        head: Some(head),
        ..audit::Options::default()
    };
    let report = audit::verify(dir.path(), &options).unwrap();
    assert_eq!(report.broken, None);
    let report = audit::verify(fork.path(), &audit::Options::default()).unwrap();
    assert_eq!(report.broken, None, "by itself it holds");
    let report = audit::verify(fork.path(), &options).unwrap();
    let broken = report.broken.unwrap();
    assert_eq!((broken.table, broken.row.as_str()), ("call", "3"));
}

#[tokio::test]
async fn every_byte_of_a_call_counts() {
    let (dir, _) = rich_ledger().await;
    let whole = fs::read(dir.path().join("ledger.db")).unwrap();
    let reader = Connection::open(dir.path().join("ledger.db")).unwrap();
    let signed: Vec<u8> = reader
        .query_row("SELECT signed FROM calls WHERE sequence = 7", [], |row| {
            row.get(0)
        })
        .unwrap();
    drop(reader);
    let end = &signed[signed.len() - 24..];
    let places = whole.windows(end.len()).enumerate();
    let places: Vec<_> = places
        .filter_map(|(at, window)| (window == end).then_some(at))
        .collect();
    let work = tempfile::tempdir().unwrap();
    let found = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(work.path().join("ledger.db"), &bytes).unwrap();
        let report = audit::verify(work.path(), &audit::Options::default()).unwrap();
        report.broken.map(|broken| broken.to_string())
    };
    // SQLite leaves remains of rows that it moved; in a fresh copy the row itself stands last.
    let at = *places.last().unwrap();
    assert!(places.iter().filter(|at| found(**at).is_some()).eq([&at]));
    for offset in 0..end.len() {
        let broken = found(at + offset).expect("one byte of the row was changed");
        assert!(broken.starts_with("call 7: "), "{broken}");
    }
}

#[derive(Debug)]
enum Edit<'a> {
    Update(&'a str, Value),
    Delete,
    Insert(Value),
}

impl Edit<'_> {
    /// Whether the database let it happen.
    fn make(
        &self,
        connection: &Connection,
        table: &str,
        key: &str,
        columns: &[String],
        row: &[Value],
    ) -> bool {
        match self {
            Self::Update(column, value) => set(connection, table, key, column, &row[0], value),
            Self::Delete => {
                let sql = format!("DELETE FROM {table} WHERE {key} = ?1");
                connection.execute(&sql, [&row[0]]).unwrap() == 1
            }
            Self::Insert(new_key) => {
                let mut row = row.to_vec();
                row[0] = new_key.clone();
                // Of two calls with one digest the table itself says no.
                if table == "calls" {
                    let digest = columns
                        .iter()
                        .position(|column| column == "digest")
                        .unwrap();
                    row[digest] = Value::Blob(vec![7; 32]);
                }
                let marks = vec!["?"; row.len()].join(", ");
                let sql = format!("INSERT INTO {table} VALUES ({marks})");
                connection.execute(&sql, params_from_iter(row)).is_ok()
            }
        }
    }

    /// Whether what was found is about the row that was edited.
    fn is_named(&self, table: &str, key: &Value, broken: &BrokenLink) -> bool {
        let row = match key {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Blob(id) => hex::encode(&id[..32]),
            _ => unreachable!("no key is that"),
        };
        let singular = table.trim_end_matches('s');
        let is_row = broken.table == singular && broken.row.contains(&row);
        let is_table = broken.table == singular;
        match (table, self) {
            // With another genesis or tip nothing fits it any more, and what does not is named.
            ("meta", _) => matches!(
                broken.table,
                "meta" | "head" | "call" | "database" | "balance"
            ),
            // Its place is empty, or the one that it moved to is taken by nobody's call.
            (_, Self::Update("sequence" | "id" | "account", _)) => {
                is_table || broken.table == "event"
            }
            (_, Self::Update(..)) => is_row,
            // The last of a kind leaves no gap; what depended on it is named.
            ("calls", Self::Delete) => is_row || matches!(broken.table, "event" | "head"),
            ("events", Self::Delete) => is_row,
            ("heads", Self::Delete) => is_row || broken.table == "meta",
            (_, Self::Delete) => is_row,
            (_, Self::Insert(_)) => is_table,
        }
    }
}

fn set(
    connection: &Connection,
    table: &str,
    key: &str,
    column: &str,
    row: &Value,
    value: &Value,
) -> bool {
    let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = ?2");
    connection
        .execute(&sql, [value, row])
        .is_ok_and(|rows| rows == 1)
}

fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(number) => [number + 1, number - 1, -number - 5, 0, i64::MAX]
            .into_iter()
            .filter(|changed| changed != number)
            .map(Value::Integer)
            .collect(),
        Value::Text(text) => vec![Value::Text(format!("{text}x")), Value::Text(String::new())],
        Value::Blob(bytes) => {
            let mut all = vec![bytes[1..].to_vec(), [&bytes[..], &[0]].concat(), Vec::new()];
            for at in [0, bytes.len() / 2, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                all.push(changed);
            }
            all.into_iter().map(Value::Blob).collect()
        }
        _ => unreachable!("no column is that"),
    }
}

fn contents(connection: &Connection, table: &str) -> (Vec<String>, Vec<Vec<Value>>) {
    let mut statement = connection
        .prepare(&format!("SELECT * FROM {table} ORDER BY 1"))
        .unwrap();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let count = columns.len();
    let rows = statement
        .query_map([], |row| (0..count).map(|index| row.get(index)).collect())
        .unwrap();
    (columns, rows.collect::<Result<_, _>>().unwrap())
}

#[test]
fn codes_are_part_of_a_trail() {
    // A refusal that is recorded tells its code by number, as events do.
    assert_eq!(serde_json::to_value(Code::NoPermission).unwrap(), 6);
}

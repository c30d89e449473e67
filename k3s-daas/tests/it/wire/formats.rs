//! `docs/message-formats.md` says what the code does.

use std::collections::BTreeMap;

use k3s_daas::contract::{Bound, Code};

const DOCUMENT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/message-formats.md"
));
const SOURCES: [&str; 6] = [
    include_str!("../../../src/wire/intent.rs"),
    include_str!("../../../src/wire/request.rs"),
    include_str!("../../../src/wire/response.rs"),
    include_str!("../../../src/wire/credential.rs"),
    include_str!("../../../src/types/cluster.rs"),
    include_str!("../../../src/types/policy.rs"),
];
/// A file of the Move package.
macro_rules! move_source {
    ($module:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../move/sources/",
            $module,
            ".move"
        ))
    };
}
/// Where it declares what Sui stores.
const STORED: [&str; 5] = [
    move_source!("cluster"),
    move_source!("executor"),
    move_source!("request"),
    move_source!("seal_token"),
    move_source!("stake"),
];
/// Where it declares what transactions call.
const CALLED: [(&str, &str); 10] = [
    ("audit", move_source!("audit")),
    ("cluster", move_source!("cluster")),
    ("cluster_policy", move_source!("cluster_policy")),
    ("delegate", move_source!("delegate")),
    ("executor", move_source!("executor")),
    ("k8s_gateway", move_source!("k8s_gateway")),
    ("message", move_source!("message")),
    ("policy", move_source!("policy")),
    ("seal_token", move_source!("seal_token")),
    ("session", move_source!("session")),
];
const CALLS: &str = include_str!("../../../src/contract/call.rs");
const EVENTS: &str = include_str!("../../../src/wire/event.rs");

/// The structs of the document: names of fields in their order. The headings of other tables are plain text.
fn documented() -> BTreeMap<String, Vec<String>> {
    let mut structs = BTreeMap::new();
    let mut name = String::new();
    for line in DOCUMENT.lines() {
        if let Some(rest) = line.strip_prefix("### ") {
            let quoted = rest
                .strip_prefix('`')
                .and_then(|name| name.strip_suffix('`'));
            name = quoted.unwrap_or_default().to_owned();
        } else if let Some(rest) = line.strip_prefix("| `")
            && !name.is_empty()
        {
            let field = rest.split('`').next().unwrap().to_owned();
            structs
                .entry(name.clone())
                .or_insert_with(Vec::new)
                .push(field);
        } else if line.starts_with("## ") {
            name.clear();
        }
    }
    structs
}

/// The structs of the source: `pub struct Name {` and its fields.
fn declared() -> BTreeMap<String, Vec<String>> {
    let mut structs = BTreeMap::new();
    for source in SOURCES.into_iter().chain([EVENTS]) {
        let mut name = None;
        for line in source.lines() {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                name = rest.strip_suffix(" {").map(str::to_owned);
            } else if line == "}" {
                name = None;
            } else if let Some(name) = &name
                && line.starts_with("    ")
                && !line.trim_start().starts_with(['/', '#'])
                && let Some((field, _)) = line.trim_start().split_once(':')
            {
                let field = field.trim_start_matches("pub ").to_owned();
                structs
                    .entry(name.clone())
                    .or_insert_with(Vec::new)
                    .push(field);
            }
        }
    }
    // Not on the wire, and in no message.
    structs.remove("PolicyRuleBuilder");
    structs
}

/// The structs that Sui stores: `public struct Name has key {` or `store`, and its fields.
fn stored() -> BTreeMap<String, Vec<String>> {
    let mut structs = BTreeMap::new();
    for source in STORED {
        let mut name = None;
        for line in source.lines() {
            if let Some((declared, abilities)) = line
                .strip_prefix("public struct ")
                .and_then(|rest| rest.strip_suffix(" {"))
                .and_then(|rest| rest.split_once(" has "))
                && (abilities.contains("key") || abilities.contains("store"))
            {
                name = Some(declared.to_owned());
            } else if line == "}" {
                name = None;
            } else if let Some(name) = &name
                && !line.trim_start().starts_with("//")
                && let Some((field, _)) = line.trim_start().split_once(':')
            {
                structs
                    .entry(name.clone())
                    .or_insert_with(Vec::new)
                    .push(field.to_owned());
            }
        }
    }
    structs
}

/// The events of the source, by their Move names, in the order of their variants.
fn events() -> Vec<(String, Vec<String>)> {
    let mut events: Vec<(String, Vec<String>)> = Vec::new();
    let body = EVENTS.split_once("\nevents! {").unwrap().1;
    for line in body.lines().take_while(|line| *line != "}") {
        let line = line.trim();
        if line.starts_with("///") || line.starts_with("#[") {
            continue;
        }
        if let Some((_, rest)) = line.split_once(" = \"") {
            let name = rest.split('"').next().unwrap().to_owned();
            events.push((name, vec!["cluster".to_owned()]));
        } else if let Some((field, _)) = line.split_once(": ")
            && line.ends_with(',')
            && let Some(event) = events.last_mut()
        {
            event.1.push(field.to_owned());
        }
    }
    events
}

#[test]
fn every_field_is_documented_in_its_order() {
    let documented = documented();
    let declared = declared();
    assert!(declared.len() >= 14, "{:?}", declared.keys());
    for (name, fields) in &declared {
        assert_eq!(documented.get(name), Some(fields), "{name}");
    }
    let stored = stored();
    assert_eq!(stored.len(), 9, "{:?}", stored.keys());
    for (name, fields) in &stored {
        assert_eq!(documented.get(name), Some(fields), "{name}");
    }
    let events = events();
    assert_eq!(events.len(), super::examples::events().len());
    for (name, fields) in &events {
        assert_eq!(documented.get(name), Some(fields), "{name}");
    }
    // And nothing else is.
    for name in documented.keys() {
        assert!(
            declared.contains_key(name)
                || stored.contains_key(name)
                || events.iter().any(|(event, _)| event == name),
            "{name} is no struct"
        );
    }
}

/// Index, name and arguments of every call.
#[test]
fn every_call_is_documented() {
    let body = CALLS.split_once("pub enum Call {\n").unwrap().1;
    let body: String = body
        .lines()
        .take_while(|line| *line != "}")
        .filter(|line| !line.trim_start().starts_with("///"))
        .collect();
    let mut calls = 0;
    let mut rest = &body[..];
    while let Some((name, after)) = rest.split_once('{') {
        let (fields, after) = after.split_once('}').unwrap();
        let mut function = String::new();
        for c in name.trim_matches([' ', ',']).chars() {
            if c.is_ascii_uppercase() && !function.is_empty() {
                function.push('_');
            }
            function.push(c.to_ascii_lowercase());
        }
        let arguments: Vec<String> = fields
            .split(',')
            .filter_map(|field| field.split_once(':'))
            .map(|(field, _)| format!("`{}`", field.trim()))
            .collect();
        let row = format!("| {calls} | `{function}` | {} |", arguments.join(", "));
        assert!(DOCUMENT.contains(&row), "{row}");
        assert!(CALLS.contains(&format!("=> \"{function}\"")), "{function}");
        calls += 1;
        rest = after;
    }
    assert_eq!(calls, 37);
}

/// The arguments of every public function of the Move package that a transaction calls, in their order.
#[test]
fn every_function_on_sui_is_documented() {
    let mut functions = 0;
    for (module, source) in CALLED {
        let source = source.split("// === Test-only").next().unwrap();
        for declared in source.split("\npublic fun ").skip(1) {
            let (name, rest) = declared.split_once('(').unwrap();
            let arguments: Vec<&str> = rest
                .split(')')
                .next()
                .unwrap()
                .split([',', '\n'])
                .filter_map(|argument| argument.split_once(':'))
                .map(|(argument, _)| argument.trim())
                .filter(|argument| *argument != "ctx")
                .collect();
            let row = format!("| `{module}::{name}` | ");
            let row = DOCUMENT.lines().find_map(|line| line.strip_prefix(&row));
            let row = row.unwrap_or_else(|| panic!("{module}::{name} is not documented"));
            // A type stands behind a colon.
            let documented: Vec<&str> = row
                .split('|')
                .next()
                .unwrap()
                .split(", ")
                .flat_map(|argument| match argument.trim() {
                    "" => vec![],
                    "*Request*" => REQUEST_ARGUMENTS.to_vec(),
                    argument => vec![argument.split('`').nth(1).unwrap()],
                })
                .collect();
            assert_eq!(documented, arguments, "{module}::{name}");
            functions += 1;
        }
    }
    let rows = DOCUMENT.lines().filter(|line| is_of_function(line)).count();
    assert_eq!(rows, functions);
}

/// Whether a line begins with "| `module::function` |".
fn is_of_function(line: &str) -> bool {
    let cell = line
        .strip_prefix("| `")
        .and_then(|line| line.split('`').next());
    cell.is_some_and(|cell| cell.contains("::"))
}

/// What `*Request*` stands for.
const REQUEST_ARGUMENTS: [&str; 17] = [
    "request_id",
    "method",
    "path",
    "query_kind",
    "query_bytes",
    "query_hash",
    "query_length",
    "header_names",
    "header_values",
    "payload_kind",
    "payload_bytes",
    "payload_hash",
    "payload_length",
    "reply_key",
    "priority",
    "deadline_ms",
    "credential_id",
];

/// One example of every event, so that every one has golden bytes.
#[test]
fn every_event_has_an_example() {
    let examples: Vec<&str> = super::examples::events().iter().map(|e| e.name()).collect();
    let declared: Vec<String> = events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(examples, declared);
}

#[test]
fn every_golden_name_and_digest_exists() {
    let golden = super::golden::golden();
    let text = serde_json::to_string(&golden).unwrap();
    let mut digests = 0;
    for word in DOCUMENT.split(|c: char| !c.is_ascii_alphanumeric()) {
        if word.len() >= 64 && word.chars().all(|c| c.is_ascii_hexdigit()) {
            assert!(text.contains(word), "{word} is in no fixture");
            digests += 1;
        }
    }
    assert!(digests >= 12, "{digests} golden digests");
    for name in golden.keys() {
        let named = DOCUMENT.contains(&format!("`{name}`"))
            || name
                .strip_prefix("event/")
                .is_some_and(|event| DOCUMENT.contains(&format!("### `{event}`")));
        assert!(named, "{name} is not documented");
    }
    let cid = golden["hash/payload"]["cid"].as_str().unwrap();
    assert!(DOCUMENT.contains(cid));
    let credential = golden["text/credential"]["text"].as_str().unwrap();
    assert!(DOCUMENT.contains(&credential[..40]));
}

#[test]
fn every_code_is_documented() {
    for code in Code::ALL {
        let row = format!("| {} | `{}` |", code.number(), code.name());
        assert!(DOCUMENT.contains(&row), "{row}");
    }
    let rows = DOCUMENT
        .lines()
        .filter(|line| line.contains("| `E"))
        .count();
    assert_eq!(rows, Code::ALL.len());
}

#[test]
fn bounds_are_documented_with_their_values() {
    let bounds: [(&str, u64); 16] = [
        ("rules", Bound::RULES_BYTES as u64),
        ("rule entries", Bound::RULE_ENTRIES as u64),
        ("delegates", Bound::DELEGATES as u64),
        ("session keys", Bound::SESSION_KEYS as u64),
        ("groups", Bound::GROUPS as u64),
        ("names", Bound::NAME_BYTES as u64),
        ("unbondings", Bound::UNBONDINGS as u64),
        ("one unbonding", Bound::UNBONDING_MIST),
        ("unanswered requests", Bound::UNANSWERED),
        ("executors", Bound::EXECUTORS as u64),
        ("sealed inline", Bound::SEALED_BYTES as u64),
        ("payload", Bound::PAYLOAD_BYTES),
        ("envelope", Bound::ENVELOPE_BYTES),
        ("deadline ahead", Bound::DEADLINE_AHEAD_MS),
        ("claims", u64::from(Bound::CLAIMS)),
        ("pruned at once", Bound::PRUNED as u64),
    ];
    for (name, value) in bounds {
        let mut digits = value.to_string();
        let mut at = digits.len();
        while at > 3 {
            at -= 3;
            digits.insert(at, ',');
        }
        let row = format!("| {name} | {digits} ");
        assert!(DOCUMENT.contains(&row), "{row}");
    }
}

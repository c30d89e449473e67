// The golden bytes of the Rust tests as Move tests: every event and every signed message is made of the
// fixture's values by its fields' names, and must come out as the fixture's bytes.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { PACKAGE, ROOT } from "./builder.mjs";

const FIXTURE = join(ROOT, "k3s-daas", "tests", "fixtures", "golden.json");

/** Test files: path → text. Throws if the fixture has what no test covers. */
export function golden() {
  const fixture = JSON.parse(readFileSync(FIXTURE, "utf8"));
  const tests = [];
  for (const [name, entry] of Object.entries(fixture)) {
    const [family, kind] = name.split("/");
    if (ELSEWHERE.has(name) || family === "hash" || family === "text") continue;
    const body = { event, signed, content: struct, struct }[family](kind, entry, family);
    tests.push(`#[test]\nfun ${family}_${snake(kind)}() {\n${body.map((line) => `    ${line};`).join("\n")}\n}\n`);
  }
  for (const [, kind] of source("events").matchAll(/^public struct (\w+)/gm)) {
    if (!(`event/${kind}` in fixture)) throw new Error(`the fixture has no bytes of ${kind}`);
  }
  tests.push(hashes(fixture));
  const header = [
    "use k3s_daas::{attestation, cluster_policy, delegate, events, intent, message, policy, resource_path};",
    "use std::bcs;",
    "use std::unit_test::assert_eq;",
    "use sui::event;",
    "use sui::hash;",
  ].join("\n");
  return {
    "tests/generated/golden_bytes.move": `#[test_only, allow(unused_use)]\nmodule k3s_daas::golden_bytes;\n\n${header}\n\n${tests.join("\n")}`,
  };
}

// What the chain never sees: a credential is checked by gateways, an envelope by who receives it.
const ELSEWHERE = new Set(["signed/credential", "struct/SignedCredential", "struct/ResponseEnvelope"]);

// Each emitter of `events` takes its event's fields, by their names.
function event(kind, { hex, value }) {
  const values = { ...value };
  const args = emitter(kind).map(({ name, type }) => {
    if (type === "&RequestMessage") return `&${request(take(values, REQUEST_FIELDS), hex)}`;
    if (type === "&Target") {
      take(values, TARGET_FIELDS);
      const parts = [value.method, value.path, value.query.bytes].map((text) => `&${text_(text)}`);
      return `&resource_path::derive(${parts.join(", ")}, true).destroy_some()`;
    }
    return typed(type, take(values, [name])[name], hex);
  });
  const left = Object.keys(values);
  if (left.length > 0) throw new Error(`${kind} has ${left}, which its emitter does not take`);
  return [
    `events::${snake(kind)}(${args.join(", ")})`,
    `let emitted = event::events_by_type<events::${kind}>()`,
    `assert_eq!(emitted.length(), 1)`,
    `assert_eq!(bcs::to_bytes(&emitted[0]), ${bytes(hex)})`,
  ];
}

const TARGET_FIELDS = [
  "api_group",
  "api_version",
  "namespace",
  "resource_type",
  "subresource",
  "name",
  "verb",
  "is_read",
];
const REQUEST_FIELDS = [
  "request_id",
  "method",
  "path",
  "query",
  "header_names",
  "header_values",
  "payload",
  "reply_key",
  "priority",
  "deadline_ms",
  "credential_id",
];

// A signed message: the bytes, their digest and the signature. The package is the fixture's in Rust and
// zero in a test here, so those 32 bytes differ, and the signature with them.
function signed(kind, { hex, digest, public_key: key, signature, value }) {
  const { intent, message } = value;
  const PACKAGE_AT = 2 * (1 + "k3s_daas".length + 2 + 32);
  const zeroed = hex.slice(0, PACKAGE_AT) + "00".repeat(32) + hex.slice(PACKAGE_AT + 64);
  if (`0x${hex.slice(PACKAGE_AT, PACKAGE_AT + 64)}` !== intent.package) throw new Error(`${kind}: no package there`);
  const built = {
    request,
    session_open: request,
    answer: (fields) =>
      `*message::signed_answer(${ordered(fields, ["request_id", "digest", "epoch", "status", "envelope_hash", "envelope_len", "sealed_hash", "time_ms"], hex)}, b"").answer_message()`,
    claim: (fields) => `message::assignment(${ordered(fields, ["request_id", "digest", "epoch"], hex)})`,
    release: (fields) => `message::assignment(${ordered(fields, ["request_id", "digest", "epoch"], hex)})`,
    anchor: (fields) =>
      `message::anchor(@${fields.executor}, ${ordered(fields, ["previous_root", "root", "first", "last", "count"], hex)})`,
    session_close: (fields) =>
      `message::session_close(${ordered(fields, ["request_id", "digest", "epoch", "bytes_in", "bytes_out", "reason", "transcript_hash"], hex)})`,
  }[kind](message, hex);
  return [
    `let message = ${built}`,
    `let signed = intent::signed_bytes(intent::${kind}!(), @${intent.chain}, @${intent.cluster}, @${intent.token}, message)`,
    `assert_eq!(intent::${kind}!(), ${intent.kind})`,
    `assert_eq!(signed, ${bytes(zeroed)})`,
    `assert_eq!(intent::digest(&${bytes(hex)}), ${bytes(digest)})`,
    `assert!(intent::verify(&${bytes(hex)}, &${bytes(key)}, &${bytes(signature)}))`,
    `assert!(!intent::verify(&signed, &${bytes(key)}, &${bytes(signature)}))`,
  ];
}

function struct(kind, { hex, digest, value }, family) {
  if (kind.startsWith("Attestation")) {
    // Only the hash of these leaves the module that makes them.
    const call =
      kind === "AttestationNonce"
        ? `attestation::expected_nonce(@${value.cluster}, ${value.registrations})`
        : `attestation::expected_user_data(@${value.operator}, ${ordered(value, ["signing_key", "encryption_key", "kube_ca_hash"], hex)})`;
    return [`assert_eq!(${call}, ${bytes(digest)})`];
  }
  const built =
    family === "content"
      ? content(value, hex)
      : { ClusterPolicy: clusterPolicy, PolicyRule: policyRule, RequestMessage: request }[kind](value, hex);
  return [
    `let bytes = bcs::to_bytes(&${built})`,
    `assert_eq!(bytes, ${bytes(hex)})`,
    `assert_eq!(hash::blake2b256(&bytes), ${bytes(digest)})`,
  ];
}

function hashes(fixture) {
  const { blake2b256, epoch, executor, request_id: id, token } = fixture["hash/assignment"];
  const { address, public_key: key } = fixture["hash/address"];
  return [
    "#[test]",
    "fun hash_assignment() {",
    `    let mut bytes = ${bytes(executor)};`,
    `    bytes.append(${bytes(token)});`,
    `    bytes.append(${text_(id)});`,
    `    bytes.append(bcs::to_bytes(&${epoch}u64));`,
    `    assert_eq!(hash::blake2b256(&bytes), ${bytes(blake2b256)});`,
    "}",
    "",
    "#[test]",
    "fun hash_address() {",
    `    let mut bytes = ${bytes(`00${key}`)};`,
    "    bytes = hash::blake2b256(&bytes);",
    `    assert_eq!(bytes, bcs::to_bytes(&@${address}));`,
    "}",
    "",
  ].join("\n");
}

// The parameters of an event's emitter, as its source has them.
function emitter(kind) {
  const found = new RegExp(`public\\(package\\) fun ${snake(kind)}\\(([^)]*)\\)`).exec(source("events"));
  if (!found) throw new Error(`events.move has no emitter for ${kind}`);
  return found[1]
    .split(",")
    .map((parameter) => parameter.trim())
    .filter((parameter) => parameter !== "")
    .map((parameter) => {
      const [name, type] = parameter.split(/:\s*/);
      return { name, type };
    });
}

function source(module) {
  return readFileSync(join(PACKAGE, "sources", `${module}.move`), "utf8");
}

function typed(type, value, hex) {
  switch (type) {
    case "address":
      return `@${value}`;
    case "u8":
    case "u16":
    case "u64":
    case "bool":
      return String(value);
    case "vector<u8>":
      return blob(value, hex);
    case "vector<vector<u8>>":
      return vector(value.map((item) => blob(item, hex)));
    case "ClusterPolicy":
      return clusterPolicy(value, hex);
    case "vector<PolicyRule>":
      return vector(value.map((rule) => policyRule(rule)));
    case "vector<Delegate>":
      return vector(value.map((entry) => `delegate::new(@${entry.delegate}, ${entry.expires_at_ms})`));
    default:
      throw new Error(`no literal of ${type}`);
  }
}

function clusterPolicy(value, hex) {
  const { response_ttl_ms: ttls, require_attestation: attested, pcrs, kube_ca_hash: ca } = value;
  const amounts = [value.min_write_stake, value.min_executor_stake, value.unbonding_ms, value.lease_ms];
  const rest = [vector(ttls), attested, vector(pcrs.map((pcr) => blob(pcr, hex))), blob(ca, hex)];
  return `cluster_policy::new(${[...amounts, ...rest].join(", ")})`;
}

function policyRule(rule) {
  const FIELDS = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs", "namespaces"];
  const lists = FIELDS.map((field) => vector(rule[field].map((item) => `${text_(item)}.to_string()`)));
  return `policy::new_rule(${lists.join(", ")})`;
}

function request(value, hex) {
  const { header_names: names, header_values: values, priority, deadline_ms: deadline } = value;
  const parts = [
    ...["request_id", "method", "path"].map((name) => text_(value[name])),
    content(value.query, hex),
    vector(names.map(text_)),
    vector(values.map(text_)),
    content(value.payload, hex),
    blob(value.reply_key, hex),
    priority,
    deadline,
    blob(value.credential_id, hex),
  ];
  return `message::request(${parts.join(", ")})`;
}

function content({ kind, bytes: inline, hash, length }, hex) {
  return `message::content(${kind}, ${blob(inline, hex)}, ${blob(hash, hex)}, ${length})`;
}

function ordered(fields, names, hex) {
  return names
    .map((name) => (typeof fields[name] === "number" ? fields[name] : blob(fields[name], hex)))
    .join(", ");
}

// Bytes that the fixture shows as text or in hex; the golden bytes say which.
function blob(value, hex) {
  const digits = value.replace(/^0x/, "");
  const isHex = /^([0-9a-f]{2})+$/.test(digits) && hex.includes(length(digits.length / 2) + digits);
  return isHex ? bytes(digits) : text_(value);
}

function length(count) {
  if (count > 127) throw new Error("no such long bytes here");
  return count.toString(16).padStart(2, "0");
}

function bytes(hex) {
  return `x"${hex.replace(/^0x/, "")}"`;
}

function text_(text) {
  return bytes(Buffer.from(text).toString("hex"));
}

function vector(items) {
  return `vector[${items.join(", ")}]`;
}

function snake(name) {
  return name
    .replace(/^K8sAPI/, "K8sApi")
    .replace(/(?<=.)([A-Z])/g, "_$1")
    .toLowerCase();
}

// Removes the fields of these names and gives them back.
function take(values, names) {
  const taken = {};
  for (const name of names) {
    if (!(name in values)) throw new Error(`the fixture has no ${name}`);
    taken[name] = values[name];
    delete values[name];
  }
  return taken;
}

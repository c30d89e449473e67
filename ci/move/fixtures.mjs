// Writes move/tests/fixtures.move: requests and executors' messages with real signatures, which Move tests cannot make.
//
//   node ci/move/fixtures.mjs           write it
//   node ci/move/fixtures.mjs --check   fail if it is not what this writes
//
// The bytes are built here a third time, from docs/message-formats.md, so that neither the package nor its twin
// vouches for itself.
import { createPrivateKey, createPublicKey, createHash, sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { PACKAGE, format } from "./builder.mjs";
import { blake2b256 } from "./blake2b.mjs";

const TARGET = join(PACKAGE, "tests", "fixtures.move");

const NOW_MS = 1_800_000_000_000;
const CHAIN = Buffer.alloc(32, 0xc1);
const PACKAGE_ID = Buffer.alloc(32, 0);
const ZERO = Buffer.alloc(32, 0);

// === BCS ===

const uleb = (n) => {
  const bytes = [];
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
  return Buffer.from([...bytes, n]);
};
const vec = (bytes) => Buffer.concat([uleb(bytes.length), bytes]);
const vecs = (list) => Buffer.concat([uleb(list.length), ...list.map((bytes) => vec(Buffer.from(bytes)))]);
const u8 = (n) => Buffer.from([n]);
const u16 = (n) => Buffer.from([n & 255, n >> 8]);
const u64 = (n) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(n));
  return bytes;
};

// === Keys and IDs ===

function keyOf(seed) {
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, seed)]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const point = createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32);
  return { point, sign: (bytes) => sign(null, bytes, secret) };
}

// Sui's object IDs: of the n-th object that a transaction creates. In tests the digest of a transaction is a
// number of the test's choice.
function objectId(transaction, created) {
  const digest = Buffer.alloc(32);
  digest.writeBigUInt64LE(BigInt(transaction));
  return blake2b256(Buffer.concat([u8(0xf1), digest, u64(created)]));
}

const KEYS = { alpha: keyOf(0x0a), beta: keyOf(0x0b), session: keyOf(0x05), other: keyOf(0x06) };
const IDS = {
  cluster: objectId(1, 0),
  cap: objectId(1, 1),
  token: objectId(2, 0),
  alpha: objectId(3, 0),
  beta: objectId(4, 0),
};

function signedBytes(kind, token, message) {
  const domain = vec(Buffer.from("k3s_daas"));
  return Buffer.concat([domain, u8(kind), u8(1), CHAIN, PACKAGE_ID, IDS.cluster, token, message]);
}

// === Requests ===

const requestId = (n) => `01890000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const content = (fields) => ({ kind: 0, bytes: "", hash: "", length: 0, ...fields });
const POD = "/api/v1/namespaces/default/pods/web";
const HASH = Buffer.alloc(32, 0x5a);

const READ = {
  id: requestId(1),
  method: "GET",
  path: POD,
  query: content(),
  names: [],
  values: [],
  payload: content(),
  replyKey: "",
  priority: 2,
  deadlineMs: NOW_MS + 60_000,
  credentialId: "",
};
const WRITE = { ...READ, id: requestId(2), method: "DELETE", replyKey: Buffer.alloc(32, 0x25) };
const hashed = (fields) => content({ kind: 2, hash: HASH, length: 300, ...fields });
const sealed = (length) => content({ kind: 3, bytes: Buffer.alloc(length, 0x77) });

const REQUESTS = {
  read: READ,
  write: WRITE,
  create: {
    ...READ,
    id: requestId(3),
    method: "POST",
    path: "/api/v1/namespaces/default/pods",
    query: content({ kind: 1, bytes: "fieldManager=kubectl" }),
    names: ["accept", "content-type", "if-match", "if-none-match", "user-agent"],
    values: ["application/json", "application/json", "1", "2", "kubectl/v1.35"],
    payload: hashed(),
    replyKey: Buffer.alloc(32, 0x25),
    credentialId: Buffer.alloc(16, 0x1d),
  },
  exec: {
    ...READ,
    id: requestId(4),
    path: `${POD}/exec`,
    query: hashed({ length: 8_192 }),
    priority: 4,
  },
  discovery: { ...READ, id: requestId(5), path: "/version", priority: 1 },
  sealed_inline: { ...WRITE, id: requestId(6), method: "PUT", payload: sealed(16_000), priority: 3 },
  largest: { ...WRITE, id: requestId(7), method: "PUT", payload: hashed({ length: 3_145_728 }) },
  soonest: { ...READ, id: requestId(8), deadlineMs: NOW_MS + 1 },
  latest: { ...READ, id: requestId(9), deadlineMs: NOW_MS + 3_600_000 },
  // Refused, by code.
  of_bad_method: { ...READ, method: "HEAD" },
  of_lower_method: { ...READ, method: "get" },
  of_no_text: { ...READ, path: Buffer.from([0x2f, 0xff, 0xfe]) },
  of_bad_path: { ...READ, path: "/api/v1//pods" },
  of_bad_query: { ...READ, query: content({ kind: 1, bytes: "watch=1&watch=1" }) },
  of_bad_id: { ...READ, id: requestId(1).replace("-7", "-4") },
  of_long_id: { ...READ, id: `${requestId(1)}${"x".repeat(64)}` },
  of_no_header_value: { ...READ, names: ["accept"] },
  of_bad_header: { ...READ, names: ["authorization"], values: ["Bearer x"] },
  of_bad_query_kind: { ...READ, query: content({ kind: 3, bytes: "a=1" }) },
  of_empty_plain_query: { ...READ, query: content({ kind: 1 }) },
  of_bytes_without_kind: { ...READ, query: content({ bytes: "a=1" }) },
  of_query_with_hash: { ...READ, query: content({ kind: 1, bytes: "a=1", hash: HASH }) },
  of_query_with_length: { ...READ, query: content({ kind: 1, bytes: "a=1", length: 3 }) },
  of_hidden_query: { ...READ, query: hashed() },
  of_long_hidden_query: { ...READ, path: `${POD}/exec`, query: hashed({ length: 8_193 }) },
  of_short_query_hash: { ...READ, path: `${POD}/exec`, query: hashed({ hash: HASH.subarray(1) }) },
  of_empty_hidden_query: { ...READ, path: `${POD}/exec`, query: hashed({ length: 0 }) },
  of_hidden_query_with_bytes: { ...READ, path: `${POD}/exec`, query: hashed({ bytes: "x" }) },
  of_plain_payload: { ...WRITE, payload: content({ kind: 1, bytes: "{}" }) },
  of_unknown_payload_kind: { ...WRITE, payload: content({ kind: 4, bytes: "{}" }) },
  of_empty_sealed_payload: { ...WRITE, payload: content({ kind: 3 }) },
  of_payload_with_hash: { ...WRITE, payload: content({ kind: 3, bytes: "x", hash: HASH }) },
  of_short_payload_hash: { ...WRITE, payload: hashed({ hash: HASH.subarray(1) }) },
  of_empty_payload: { ...WRITE, payload: hashed({ length: 0 }) },
  of_short_reply_key: { ...READ, replyKey: Buffer.alloc(31, 0x25) },
  of_long_reply_key: { ...READ, replyKey: Buffer.alloc(33, 0x25) },
  of_short_credential_id: { ...READ, credentialId: Buffer.alloc(15, 0x1d) },
  of_long_credential_id: { ...READ, credentialId: Buffer.alloc(17, 0x1d) },
  of_other_namespace: { ...READ, path: "/api/v1/namespaces/kube-system/pods/web" },
  of_past_deadline: { ...READ, deadlineMs: NOW_MS },
  of_far_deadline: { ...READ, deadlineMs: NOW_MS + 3_600_001 },
  of_long_sealed_payload: { ...WRITE, payload: sealed(16_001) },
  of_large_payload: { ...WRITE, payload: hashed({ length: 3_145_729 }) },
  of_priority_0: { ...READ, priority: 0 },
  of_priority_5: { ...READ, priority: 5 },
};

const contentBytes = ({ kind, bytes, hash, length }) =>
  Buffer.concat([u8(kind), vec(Buffer.from(bytes)), vec(Buffer.from(hash)), u64(length)]);

const requestBytes = (request) =>
  Buffer.concat([
    vec(Buffer.from(request.id)),
    vec(Buffer.from(request.method)),
    vec(Buffer.from(request.path)),
    contentBytes(request.query),
    vecs(request.names),
    vecs(request.values),
    contentBytes(request.payload),
    vec(Buffer.from(request.replyKey)),
    u8(request.priority),
    u64(request.deadlineMs),
    vec(Buffer.from(request.credentialId)),
  ]);

const digestOf = (request, session = false) =>
  blake2b256(signedBytes(session ? 6 : 1, IDS.token, requestBytes(request)));

// === What executors sign ===

const ENVELOPE = Buffer.alloc(32, 0xe5);
const ANSWER = { of: "read", by: "alpha", epoch: 0, status: 200, hash: ENVELOPE, length: 60, sealed: "", timeMs: NOW_MS };
const ANSWERS = {
  ok: ANSWER,
  not_found: { ...ANSWER, status: 404 },
  other_hash: { ...ANSWER, hash: Buffer.alloc(32, 0xe6) },
  other_length: { ...ANSWER, length: 61 },
  later: { ...ANSWER, timeMs: NOW_MS + 1 },
  next_epoch: { ...ANSWER, epoch: 1, status: 404 },
  other_request: { ...ANSWER, of: "write", status: 404 },
  other_digest: { ...ANSWER, session: true, status: 404 },
  other_id: { ...ANSWER, id: requestId(2), status: 404 },
  by_beta: { ...ANSWER, by: "beta", status: 404 },
  lowest_status: { ...ANSWER, status: 200, length: 1 },
  highest_status: { ...ANSWER, status: 599, length: 268_435_456 },
  low_status: { ...ANSWER, status: 199 },
  high_status: { ...ANSWER, status: 600 },
  short_hash: { ...ANSWER, hash: ENVELOPE.subarray(1) },
  no_length: { ...ANSWER, length: 0 },
  too_long: { ...ANSWER, length: 268_435_457 },
  sealed_without_key: { ...ANSWER, sealed: Buffer.from([1, 2, 3]) },
  of_write: { ...ANSWER, of: "write", sealed: Buffer.alloc(16_000, 0x77) },
  of_write_sealed_too_long: { ...ANSWER, of: "write", sealed: Buffer.alloc(16_001, 0x77) },
  of_write_released: { ...ANSWER, of: "write", epoch: 1 },
  of_claimed_read: { ...ANSWER, epoch: 1 },
  of_claimed_write: { ...ANSWER, of: "write", epoch: 1, status: 504 },
  of_claimed_write_done: { ...ANSWER, of: "write", epoch: 1, status: 200 },
  of_claimed_write_malformed: { ...ANSWER, of: "write", epoch: 1, status: 199 },
  of_session: { ...ANSWER, of: "exec", session: true, status: 404 },
};

const answerBytes = (answer) => {
  const sealedHash = answer.sealed.length === 0 ? Buffer.alloc(0) : createHash("sha256").update(answer.sealed).digest();
  return Buffer.concat([
    vec(Buffer.from(answer.id ?? REQUESTS[answer.of].id)),
    vec(digestOf(REQUESTS[answer.of], answer.session)),
    u64(answer.epoch),
    u16(answer.status),
    vec(answer.hash),
    u64(answer.length),
    vec(sealedHash),
    u64(answer.timeMs),
  ]);
};

const ASSIGNMENTS = {
  claim_read: { kind: 3, of: "read", by: "alpha", epoch: 1 },
  claim_read_again: { kind: 3, of: "read", by: "alpha", epoch: 2 },
  claim_read_a_third_time: { kind: 3, of: "read", by: "alpha", epoch: 3 },
  claim_read_by_beta: { kind: 3, of: "read", by: "beta", epoch: 1 },
  claim_read_at_this_epoch: { kind: 3, of: "read", by: "alpha", epoch: 0 },
  claim_write: { kind: 3, of: "write", by: "alpha", epoch: 1 },
  claim_session: { kind: 3, of: "exec", by: "alpha", epoch: 1, session: true },
  release_read: { kind: 4, of: "read", by: "alpha", epoch: 0 },
  release_read_by_beta: { kind: 4, of: "read", by: "beta", epoch: 0 },
  release_read_at_next_epoch: { kind: 4, of: "read", by: "alpha", epoch: 1 },
  release_write: { kind: 4, of: "write", by: "alpha", epoch: 0 },
  release_claimed_read: { kind: 4, of: "read", by: "alpha", epoch: 1 },
  release_claimed_write: { kind: 4, of: "write", by: "alpha", epoch: 1 },
  release_session: { kind: 4, of: "exec", by: "alpha", epoch: 0, session: true },
};

const assignmentBytes = ({ of, epoch, session }) =>
  Buffer.concat([vec(Buffer.from(REQUESTS[of].id)), vec(digestOf(REQUESTS[of], session)), u64(epoch)]);

const CLOSE = { of: "exec", session: true, by: "alpha", epoch: 0, in: 12, out: 3_456, reason: 0, hash: Buffer.alloc(32, 0x7a) };
const CLOSES = {
  ended: CLOSE,
  ended_by_error: { ...CLOSE, reason: 3, hash: "" },
  ended_by_beta: { ...CLOSE, by: "beta" },
  ended_at_next_epoch: { ...CLOSE, epoch: 1 },
  ended_for_no_reason: { ...CLOSE, reason: 4 },
  ended_with_short_hash: { ...CLOSE, hash: Buffer.alloc(31, 0x7a) },
  ended_with_other_digest: { ...CLOSE, session: false },
  ended_no_session: { ...CLOSE, of: "read", session: false },
};

const closeBytes = (close) =>
  Buffer.concat([
    vec(Buffer.from(REQUESTS[close.of].id)),
    vec(digestOf(REQUESTS[close.of], close.session)),
    u64(close.epoch),
    u64(close.in),
    u64(close.out),
    u8(close.reason),
    vec(Buffer.from(close.hash)),
  ]);

const MAX = 0xffff_ffff_ffff_ffffn;
const root = (byte) => Buffer.alloc(32, byte);
const ANCHOR = { by: "alpha", previous: ZERO, root: root(0xa0), first: 1, last: 300, count: 300 };
const ANCHORS = {
  first_anchor: ANCHOR,
  second_anchor: { ...ANCHOR, previous: root(0xa0), root: root(0xa1), first: 301, last: 301, count: 1 },
  anchor_of_everything: { ...ANCHOR, last: MAX, count: MAX },
  anchor_of_other_root: { ...ANCHOR, previous: root(0xa0) },
  anchor_of_short_root: { ...ANCHOR, root: root(0xa0).subarray(1) },
  anchor_from_zero: { ...ANCHOR, first: 0, count: 301 },
  anchor_with_gap: { ...ANCHOR, first: 2, count: 299 },
  anchor_backwards: { ...ANCHOR, last: 0, count: 0 },
  anchor_of_other_count: { ...ANCHOR, count: 299 },
  anchor_by_beta: { ...ANCHOR, by: "beta" },
  anchor_of_beta: { ...ANCHOR, by: "alpha", of: "beta" },
};

const anchorBytes = (anchor) =>
  Buffer.concat([
    IDS[anchor.of ?? anchor.by],
    vec(anchor.previous),
    vec(anchor.root),
    u64(anchor.first),
    u64(anchor.last),
    u64(anchor.count),
  ]);

// === Move ===

const hex = (bytes) => `x"${Buffer.from(bytes).toString("hex")}"`;
// Long runs of one byte stay short in the source.
const bytesOf = (value) => {
  const bytes = Buffer.from(value);
  if (bytes.length > 256) return `vector::tabulate!(${bytes.length}, |_| 0x${bytes[0].toString(16)})`;
  const text = bytes.toString("latin1");
  return /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(text) ? `b"${text}"` : hex(bytes);
};
const list = (items) => `vector[${items.map(bytesOf).join(", ")}]`;
const address = (bytes) => `@0x${bytes.toString("hex")}`;

function requestFunction([name, request]) {
  const message = requestBytes(request);
  const { query, payload } = request;
  const fields = [
    bytesOf(request.id),
    bytesOf(request.method),
    bytesOf(request.path),
    query.kind,
    bytesOf(query.bytes),
    bytesOf(query.hash),
    query.length,
    list(request.names),
    list(request.values),
    payload.kind,
    bytesOf(payload.bytes),
    bytesOf(payload.hash),
    payload.length,
    bytesOf(request.replyKey),
    request.priority,
    request.deadlineMs,
    bytesOf(request.credentialId),
    hex(digestOf(request)),
    hex(KEYS.session.point),
    hex(KEYS.session.sign(signedBytes(1, IDS.token, message))),
    hex(KEYS.session.sign(signedBytes(6, IDS.token, message))),
  ];
  return `public fun ${name}(): Command { calls::command(${fields.join(", ")}) }`;
}

function answerFunction([name, answer]) {
  const signature = KEYS[answer.by].sign(signedBytes(2, IDS.token, answerBytes(answer)));
  const fields = [
    bytesOf(answer.id ?? REQUESTS[answer.of].id),
    hex(digestOf(REQUESTS[answer.of], answer.session)),
    address(IDS[answer.by]),
    answer.epoch,
    answer.status,
    bytesOf(answer.hash),
    answer.length,
    bytesOf(answer.sealed),
    answer.timeMs,
    hex(signature),
  ];
  return `public fun ${name}(): Answer { calls::answer(${fields.join(", ")}) }`;
}

function assignmentFunction([name, assignment]) {
  const signature = KEYS[assignment.by].sign(signedBytes(assignment.kind, IDS.token, assignmentBytes(assignment)));
  const fields = [
    bytesOf(REQUESTS[assignment.of].id),
    address(IDS[assignment.by]),
    assignment.epoch,
    hex(signature),
  ];
  return `public fun ${name}(): Assignment { calls::assignment(${fields.join(", ")}) }`;
}

function closeFunction([name, close]) {
  const signature = KEYS[close.by].sign(signedBytes(7, IDS.token, closeBytes(close)));
  const fields = [
    address(IDS[close.by]),
    bytesOf(REQUESTS[close.of].id),
    hex(digestOf(REQUESTS[close.of], close.session)),
    close.epoch,
    close.in,
    close.out,
    close.reason,
    bytesOf(close.hash),
    hex(signature),
  ];
  return `public fun ${name}(): End { calls::end(${fields.join(", ")}) }`;
}

function anchorFunction([name, anchor]) {
  const signature = KEYS[anchor.by].sign(signedBytes(5, ZERO, anchorBytes(anchor)));
  const fields = [
    bytesOf(anchor.previous),
    bytesOf(anchor.root),
    anchor.first,
    anchor.last,
    anchor.count,
    hex(signature),
  ];
  return `public fun ${name}(): Anchor { calls::anchor(${fields.join(", ")}) }`;
}

const functions = [
  ...Object.entries(IDS).map(([name, id]) => `public fun ${name}(): address { ${address(id)} }`),
  ...Object.entries(KEYS).map(([name, key]) => `public fun ${name}_key(): vector<u8> { ${hex(key.point)} }`),
  `public fun now_ms(): u64 { ${NOW_MS} }`,
  `public fun chain(): address { ${address(CHAIN)} }`,
  ...Object.entries(REQUESTS).map(requestFunction),
  ...Object.entries(ANSWERS).map(answerFunction),
  ...Object.entries(ASSIGNMENTS).map(assignmentFunction),
  ...Object.entries(CLOSES).map(closeFunction),
  ...Object.entries(ANCHORS).map(anchorFunction),
];
const text = await format(`/// Written by ci/move/fixtures.mjs, which see: what the tests send, signed.
#[test_only]
module k3s_daas::fixtures;

use k3s_daas::calls::{Self, Anchor, Answer, Assignment, Command, End};

${functions.join("\n\n")}
`);

if (process.argv[2] === "--check") {
  if (readFileSync(TARGET, "utf8") !== text) {
    console.error("move/tests/fixtures.move is not what ci/move/fixtures.mjs writes");
    process.exitCode = 1;
  }
} else {
  writeFileSync(TARGET, text);
}

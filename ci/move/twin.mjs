// Holds the Move package against its Rust twin: the Rust tests make up sequences of calls and write what
// becomes of them as Move tests, which run here on the VM.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

import { ROOT, moveFiles, packageFiles, test } from "./builder.mjs";
import { onlyHelpers } from "./generate.mjs";

// The tests that write sequences: all of the contract's but those that run long.
const WRITERS = ["contract::", "--skip", "contract::model::", "--skip", "contract::policy::"];
const HELPERS = ["parts", "told", "twin"];
// Text compiled at a time.
const BATCH_BYTES = 2_000_000;
// Compilers at work at a time.
const WORKERS = 2;

/**
 * Has the sequences written into a directory of their own and returns it. `DAAS_TEST_SEED` and
 * `DAAS_TEST_TWIN_SEQUENCES` say which and how many.
 */
export function write() {
  const directory = mkdtempSync(join(tmpdir(), "k3s-daas-twin-"));
  // As the suite of all tests is built, so that nothing is built twice; `-p k3s-daas` alone builds faster
  // where nothing is built yet.
  const built = (process.env.DAAS_TEST_TWIN_CARGO ?? "--workspace --all-features").split(" ");
  const cargo = ["test", "--quiet", ...built, "--test", "it", "--", "--nocapture", ...WRITERS];
  const ran = spawnSync("cargo", cargo, {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, DAAS_TEST_TWIN_DIR: directory },
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = /^DAAS_TEST_SEED.*$/m.exec(ran.stderr);
  if (ran.status !== 0 || !said) {
    forget(directory);
    throw new Error(`the Rust tests fail, so nothing is held against the VM\n${ran.stdout}\n${ran.stderr}`);
  }
  console.log(said[0]);
  return directory;
}

/** Removes a directory of `write`. */
export function forget(directory) {
  rmSync(directory, { recursive: true });
}

/**
 * Runs the tests of a directory: `{tests, failures}`, as `test` of the builder. `sources` stand in the
 * place of the package's own. With `isEnough`, no more once the tests so far are.
 */
export async function held(directory, { sources = {}, isEnough = () => false } = {}) {
  const common = { ...packageFiles({ tests: false }), ...helpers(), ...sources };
  const queue = batches(moveFiles(directory));
  const tests = [];
  const failures = [];
  await Promise.all(
    Array.from({ length: WORKERS }, async () => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: common });
      try {
        for (let batch = queue.shift(); batch && !isEnough(tests); batch = queue.shift()) {
          const ran = await answer(worker, batch);
          if (ran.error) throw new Error(ran.error);
          tests.push(...ran.tests);
          if (ran.failures) failures.push(ran.failures);
        }
      } finally {
        await worker.terminate();
      }
    }),
  );
  return { tests, failures: failures.join("\n\n") };
}

// The VM copies all that was compiled for each test, so few at a time are faster than all at once. What once
// failed comes first.
function batches(files) {
  const found = [];
  let size = Infinity;
  const order = ([path]) => (path.startsWith("corpus_") ? 0 : 1);
  for (const [path, text] of Object.entries(files).sort((a, b) => order(a) - order(b))) {
    if (size + text.length > BATCH_BYTES) {
      found.push({});
      size = 0;
    }
    found.at(-1)[`tests/generated/${path}`] = text;
    size += text.length;
  }
  return found;
}

function answer(worker, batch) {
  return new Promise((resolve, reject) => {
    worker.removeAllListeners();
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.postMessage(batch);
  });
}

// The runner of sequences and what it needs; no other tests.
function helpers() {
  const files = onlyHelpers(packageFiles());
  return Object.fromEntries(HELPERS.map((name) => [`tests/${name}.move`, files[`tests/${name}.move`]]));
}

// Mistakes that nobody should make unnoticed: module, what stands there, what would be wrong.
const MISTAKES = [
  // A token is valid for a millisecond more, and begins one later.
  ["seal_token", "token.not_before_ms <= now_ms && now_ms < token.expires_at_ms", "token.not_before_ms <= now_ms && now_ms <= token.expires_at_ms"],
  ["seal_token", "token.not_before_ms <= now_ms && now_ms <", "token.not_before_ms < now_ms && now_ms <"],
  // Delegates and session keys outlive their expiry by one.
  ["seal_token", "token.delegates.try_get(&sender).is_some_and!(|expiry| now_ms < *expiry)", "token.delegates.try_get(&sender).is_some_and!(|expiry| now_ms <= *expiry)"],
  ["seal_token", "token.session_keys.try_get(key).is_some_and!(|expiry| now_ms < *expiry)", "token.session_keys.try_get(key).is_some_and!(|expiry| now_ms <= *expiry)"],
  // A request may be submitted at its deadline, or not an hour before it.
  ["admission", "if (deadline_ms <= now_ms)", "if (deadline_ms < now_ms)"],
  ["admission", "deadline_ms - now_ms > MAX_AHEAD_MS", "deadline_ms - now_ms >= MAX_AHEAD_MS"],
  // One unanswered request too many; 16,000 bytes sealed are refused.
  ["admission", "token.unanswered() >= MAX_UNANSWERED", "token.unanswered() > MAX_UNANSWERED"],
  ["admission", "sealed_bytes > MAX_SEALED_BYTES", "sealed_bytes >= MAX_SEALED_BYTES"],
  // A claim a millisecond late, a read claimed at its deadline, pruned a millisecond late.
  ["k8s_gateway", "now_ms >= request.lease_ends_ms()", "now_ms > request.lease_ends_ms()"],
  ["k8s_gateway", "now_ms < request.deadline_ms()", "now_ms <= request.deadline_ms()"],
  ["k8s_gateway", "now_ms >= prunable_at_ms", "now_ms > prunable_at_ms"],
  // Stake is paid out a millisecond late; a third claim.
  ["stake", "partition!(|unbonding| now_ms >= unbonding.unlock_ms)", "partition!(|unbonding| now_ms > unbonding.unlock_ms)"],
  ["k8s_gateway", "request.claims() < MAX_CLAIMS", "request.claims() <= MAX_CLAIMS"],
  // The order of two checks; another executor chosen; a field of an event; what is left of a stake.
  [
    "k8s_gateway",
    "errors::require(request.is_open(), errors::already_answered!());\n    errors::require(request.is_assigned(executor, epoch), errors::not_assigned!());\n    let entry = cluster.eligible(executor);\n    let digest",
    "errors::require(request.is_assigned(executor, epoch), errors::not_assigned!());\n    errors::require(request.is_open(), errors::already_answered!());\n    let entry = cluster.eligible(executor);\n    let digest",
  ],
  ["admission", "let sequence = token.admit(*request.request_id(), held);", "let sequence = token.admit(*request.request_id(), held) - 1;"],
  ["executor", "PRESENTERS_SHARE: u64 = 10", "PRESENTERS_SHARE: u64 = 11"],
];

/** Puts each mistake into a copy of the package and says how many of them no sequence shows. */
export async function bites(directory) {
  const own = packageFiles({ tests: false });
  const mistakes = MISTAKES.map(([module, was, wrong]) => {
    const path = `sources/${module}.move`;
    if (own[path].split(was).length !== 2) throw new Error(`${path} does not have once: ${was}`);
    return { module, was, wrong, sources: { [path]: own[path].replace(was, wrong) } };
  });
  let missed = 0;
  for (const { module, was, wrong, sources } of mistakes) {
    const isRed = (one) => !one.passed;
    const ran = await held(directory, { sources, isEnough: (tests) => tests.some(isRed) });
    const red = ran.tests.find(isRed);
    if (!red) missed += 1;
    console.log(`test ${module}: ${was} → ${wrong} ... ${red ? `ok, ${red.name} fails` : "FAILED, nothing fails"}`);
  }
  const caught = MISTAKES.length - missed;
  console.log(`\ntest result: ${missed === 0 ? "ok" : "FAILED"}. ${caught} passed; ${missed} failed; 0 ignored`);
  return missed;
}

if (!isMainThread) {
  parentPort.on("message", async (batch) => {
    try {
      parentPort.postMessage(await test({ ...workerData, ...batch }));
    } catch (error) {
      parentPort.postMessage({ error: error.message });
    }
  });
}

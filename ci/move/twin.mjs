// Holds the Move package against its Rust twin: the Rust tests make up sequences of calls and write what
// becomes of them as Move tests, which run here on the VM.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

import { ROOT, moveFiles, packageFiles, test } from "./builder.mjs";
import { onlyHelpers } from "./generate.mjs";

const GENERATOR = "contract::twin::sequences_are_written_for_the_move_vm";
// Compilers at work at a time.
const WORKERS = 2;

/**
 * Writes sequences into a directory of its own and returns it. What `environment` says of seed and number
 * goes to the Rust tests.
 */
export function written(environment = process.env) {
  const directory = mkdtempSync(join(tmpdir(), "k3s-daas-twin-"));
  const cargo = ["test", "--quiet", "--package", "k3s-daas", "--all-features", "--test", "it", "--"];
  const output = execFileSync("cargo", [...cargo, "--exact", GENERATOR, "--nocapture"], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...environment, DAAS_TEST_TWIN_DIR: directory },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (!/test result: ok. 1 passed/.test(output)) throw new Error(`${GENERATOR} is not there`);
  return directory;
}

/** Runs the tests of a directory: `{tests, failures}`, as `test` of the builder. */
export async function held(directory, { sources = {} } = {}) {
  const ours = Object.entries(moveFiles(directory));
  const parts = Array.from({ length: WORKERS }, (_, index) => ours.filter((_, at) => at % WORKERS === index));
  const ran = await Promise.all(
    parts.map((part) => {
      const added = Object.fromEntries(part.map(([path, text]) => [`tests/generated/${path}`, text]));
      const files = onlyHelpers({ ...packageFiles(), ...added, ...sources });
      return new Promise((resolve, reject) => {
        const worker = new Worker(fileURLToPath(import.meta.url), { workerData: files });
        worker.once("message", (said) => (said.error ? reject(new Error(said.error)) : resolve(said)));
        worker.once("error", reject);
      });
    }),
  );
  return { tests: ran.flatMap((part) => part.tests), failures: ran.map((part) => part.failures).join("\n").trim() };
}

/** Removes a directory of `written`. */
export function forgotten(directory) {
  rmSync(directory, { recursive: true });
}

if (!isMainThread) {
  try {
    parentPort.postMessage(await test(workerData));
  } catch (error) {
    parentPort.postMessage({ error: error.message });
  }
}

// Removes what guards the Move package, one piece at a time, and demands that a test turns red.
//
//   node ci/move/mutate.mjs [--kind guard|term|boundary] [--module NAME] [--line N] [--jobs N] [--report FILE]
//
// guard     a check is never made: `errors::require(…)`, `assert!(…)`, `if (…) return …`, `x.check_…(…);`
// term      one operand of `&&` and `||` says nothing
// boundary  `<` becomes `<=`, `>` becomes `>=`, and the other way around
//
// A mutant meets the tests of its module first, then all of them, then the corpora. Ends with an error if
// anything survives that is not known to change nothing. VERBOSE=1 tells of each as it is judged.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker, isMainThread, parentPort } from "node:worker_threads";

import { onlyTests, packageFiles, test } from "./builder.mjs";
import { corpusSets, fixtures, onlyHelpers } from "./generate.mjs";

// Mutants that are the same function, spelled otherwise: module, mutated text, why.
const EQUIVALENT = JSON.parse(readFileSync(new URL("./equivalent-mutants.json", import.meta.url), "utf8"));

// Where the guards of a module are tested first, if not in `MODULE_tests`.
const TESTED_IN = {
  admission: ["refusal_tests"],
  delegate: ["seal_token_tests"],
  events: ["golden_bytes"],
  held: ["answer_tests", "session_tests"],
  intent: ["golden_bytes", "refusal_tests"],
  k8s_gateway: ["k8s_gateway_tests", "answer_tests"],
  message: ["refusal_tests", "executor_tests", "golden_bytes"],
  request: ["answer_tests"],
  saturating: ["answer_tests"],
  version: ["cluster_tests"],
};

// A loop that no longer ends is as red as a failed test. Long, because the machine may be busy.
const TIMEOUT_MS = 600_000;

async function main(args) {
  const option = (name, otherwise) => {
    const at = args.indexOf(`--${name}`);
    return at < 0 ? otherwise : args[at + 1];
  };
  const [kind, module, line, report] = ["kind", "module", "line", "report"].map((name) => option(name));
  const jobs = Number(option("jobs", "2"));

  const files = packageFiles();
  const mutants = Object.keys(files)
    .filter((path) => path.startsWith("sources/") && (!module || path === `sources/${module}.move`))
    .flatMap((path) => mutantsOf(path, files[path]))
    .filter((mutant) => (!kind || mutant.kind === kind) && (!line || mutant.line === Number(line)));

  if (mutants.length === 0) throw new Error("there is no such mutant");

  const begin = Date.now();
  const queue = [...mutants.keys()];
  let done = 0;
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      const runner = new Runner();
      for (let index = queue.shift(); index !== undefined; index = queue.shift()) {
        const mutant = mutants[index];
        mutant.outcome = await runner.judge(mutant);
        if (mutant.outcome.startsWith("broken")) throw new Error(mutant.outcome);
        done += 1;
        if (process.env.VERBOSE) console.log(`${((Date.now() - begin) / 1000).toFixed(0)} s ${mutant.outcome} ${describe(mutant)}`);
        if (mutant.outcome === "survived") console.log(`[${done}/${mutants.length}] survived ${describe(mutant)}`);
        else if (done % 25 === 0) console.log(`[${done}/${mutants.length}]`);
      }
      await runner.stop();
    }),
  );

  const lines = [];
  let unknown = 0;
  for (const kind of ["guard", "term", "boundary"]) {
    const of = mutants.filter((mutant) => mutant.kind === kind);
    if (of.length === 0) continue;
    const count = (outcome) => of.filter((mutant) => mutant.outcome === outcome).length;
    const survivors = of.filter((mutant) => mutant.outcome === "survived");
    const known = survivors.filter((mutant) => equivalence(mutant));
    unknown += survivors.length - known.length;
    lines.push(
      `${kind}: ${of.length} mutants, ${count("killed")} killed, ${known.length} equivalent, ` +
        `${survivors.length - known.length} survived, ${count("unviable")} not compiled`,
    );
    for (const mutant of survivors) if (!equivalence(mutant)) lines.push(`  ${describe(mutant)}`);
  }
  lines.push(`${Math.round((Date.now() - begin) / 1000)} s`);
  console.log(lines.join("\n"));
  if (report) writeFileSync(report, `${lines.join("\n")}\n`);
  process.exitCode = unknown === 0 ? 0 : 1;
}

function describe({ path, line, was, now }) {
  return `${path}:${line}: ${oneLine(was)}  →  ${oneLine(now)}`;
}

function equivalence({ path, was, now, context }) {
  return EQUIVALENT.find(
    (known) =>
      path === `sources/${known.module}.move` &&
      oneLine(was) === known.was &&
      oneLine(now) === known.now &&
      (known.in === undefined || context === known.in),
  );
}

function oneLine(text) {
  return text.replace(/\s+/g, " ").trim();
}

/** Every mutant of a source file: `{path, line, kind, begin, end, was, now, context}`. */
function mutantsOf(path, source) {
  const code = blanked(source);
  const found = [];
  const add = (kind, from, to, now) => {
    // Without the blanks around, so that the operand between two operators is found once.
    const begin = from + /^\s*/.exec(code.slice(from, to))[0].length;
    const end = from + code.slice(from, to).trimEnd().length;
    if (found.some((other) => other.begin === begin && other.end === end && other.now === now)) return;
    const line = source.slice(0, begin).split("\n").length;
    const context = [...code.slice(0, begin).matchAll(/fun (\w+)/g)].at(-1)?.[1];
    found.push({ path, line, kind, begin, end, was: source.slice(begin, end), now, context });
  };

  for (const match of code.matchAll(/\b(errors::require|assert!|\bif )\(/g)) {
    const open = match.index + match[0].length - 1;
    const close = closing(code, open);
    if (match[1] === "if ") {
      // Only what leaves: the rest are choices, not guards.
      if (/^\s*(return|break|continue)\b/.test(code.slice(close + 1))) add("guard", open + 1, close, "false");
      else if (/^\s*\{\s*return\b/.test(code.slice(close + 1))) add("guard", open + 1, close, "false");
    } else {
      add("guard", open + 1, operandEnd(code, open + 1, ","), "true");
    }
  }
  // A check of its own, called for nothing but to abort: `token.check_owner(ctx);`
  for (const match of code.matchAll(/(?<=[;{}]\s*)((?:\w+(?:\.|::))*check\w*)\(/g)) {
    const close = closing(code, match.index + match[0].length - 1);
    if (code[close + 1] === ";") add("guard", match.index, close + 2, "");
  }
  for (const match of code.matchAll(/&&|\|\|/g)) {
    // A lambda without parameters, or the empty one of a macro.
    if (match[0] === "||" && /[(,]\s*$/.test(code.slice(0, match.index))) continue;
    const neutral = match[0] === "&&" ? "true" : "false";
    const right = match.index + 2;
    add("term", right, operandEnd(code, right), neutral);
    const left = operandBegin(code, match.index);
    add("term", left, match.index, neutral);
  }
  for (const match of code.matchAll(/ (<|<=|>|>=) /g)) {
    const other = { "<": "<=", "<=": "<", ">": ">=", ">=": ">" }[match[1]];
    add("boundary", match.index + 1, match.index + 1 + match[1].length, other);
  }
  return found.filter(({ context }) => context !== undefined);
}

// The source with comments blanked out and strings made dull, at the same offsets; without the functions for
// tests only, which stand last.
function blanked(source) {
  const end = source.search(/#\[test_only\]\n(public\S* )?fun /);
  const own = end < 0 ? source : source.slice(0, end);
  return own.replace(/\/\/[^\n]*|"(?:[^"\\]|\\.)*"/g, (text) =>
    text.startsWith("//") ? " ".repeat(text.length) : `"${"_".repeat(text.length - 2)}"`,
  );
}

function closing(code, open) {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if ("([{".includes(code[at])) depth += 1;
    else if (")]}".includes(code[at]) && --depth === 0) return at;
  }
  throw new Error("an open bracket is never closed");
}

// Where the operand that begins at `begin` ends: at its enclosing bracket, `,`, `;`, `{` or the next operator.
function operandEnd(code, begin, only) {
  let depth = 0;
  for (let at = begin; at < code.length; at++) {
    const byte = code[at];
    if (depth === 0 && at > begin) {
      if (byte === "," || byte === ";") return at;
      if (!only && (code.startsWith("&&", at) || code.startsWith("||", at))) return at;
      if (!only && byte === "{") return at;
      // `if (a && b) c else d`, `let x = a && b` in a block's last place
      if (!only && /^\s(else|return)\b/.test(code.slice(at))) return at;
    }
    if ("([{".includes(byte)) depth += 1;
    else if (")]}".includes(byte)) {
      if (depth === 0) return at;
      depth -= 1;
    }
  }
  return code.length;
}

// Where the operand that ends at `end` begins.
function operandBegin(code, end) {
  let depth = 0;
  for (let at = end - 1; at >= 0; at--) {
    const byte = code[at];
    if (")]}".includes(byte)) {
      // A block before: `if (…) {…} a && b` does not occur, a statement before does.
      if (depth === 0 && byte === "}") return at + 1;
      depth += 1;
    } else if ("([{".includes(byte)) {
      if (depth === 0) return at + 1;
      depth -= 1;
    } else if (depth === 0) {
      if (byte === "," || byte === ";") return at + 1;
      const before = code.slice(Math.max(0, at - 1), at + 1);
      if (before === "&&" || before === "||" || before === "=>") return at + 1;
      if (byte === "|" || (byte === "=" && !/[=!<>]=$/.test(before) && code[at + 1] !== "=")) return at + 1;
      if (/^(else|return)\s/.test(code.slice(at)) && /\W/.test(code[at - 1])) return at + code.slice(at).search(/\s/);
    }
  }
  return 0;
}

/** A worker that judges mutants, replaced when one of them never ends. */
class Runner {
  judge(mutant) {
    this.worker ??= this.begin();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.replace(), TIMEOUT_MS);
      this.settle = (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      };
      this.worker.postMessage(mutant);
    });
  }

  begin() {
    const worker = new Worker(fileURLToPath(import.meta.url));
    worker.on("message", (outcome) => this.settle(outcome));
    worker.on("error", () => this.replace());
    return worker;
  }

  replace() {
    this.worker.removeAllListeners("error");
    this.worker.terminate();
    this.worker = undefined;
    this.settle("killed");
  }

  async stop() {
    await this.worker?.terminate();
  }
}

function serve() {
  const own = { ...packageFiles(), ...fixtures() };
  const wide = corpusSets().map((set) => onlyHelpers({ ...packageFiles(), ...set }));
  const closes = new Map();
  parentPort.on("message", async ({ path, begin, end, now }) => {
    const source = own[path];
    const mutated = source.slice(0, begin) + now + source.slice(end);
    const module = /(\w+)\.move$/.exec(path)[1];
    if (!closes.has(module)) {
      const modules = TESTED_IN[module] ?? [`${module}_tests`];
      const close = onlyTests(own, (name) => modules.some((one) => name.includes(`::${one}::`)));
      // What is red or does not compile without any mutant would pass for its death.
      const broken = await whatIsWrong(close);
      if (broken) return parentPort.postMessage(`broken without a mutant: ${modules}: ${broken}`);
      closes.set(module, close);
    }
    const close = closes.get(module);
    try {
      for (const files of [close, own, ...wide]) {
        const { tests } = await test({ ...files, [path]: mutated });
        if (tests.some((one) => !one.passed)) return parentPort.postMessage("killed");
      }
      parentPort.postMessage("survived");
    } catch (error) {
      // A mutant that does not compile tells nothing; the tests themselves compile without it.
      if (process.env.VERBOSE) console.log(error.message.split("\n").slice(0, 4).join("\n"));
      parentPort.postMessage("unviable");
    }
  });
}

async function whatIsWrong(files) {
  try {
    const ran = await test(files);
    return ran.tests.length === 0 ? "there is no test" : ran.failures;
  } catch (error) {
    return error.message;
  }
}

if (isMainThread) await main(process.argv.slice(2));
else serve();

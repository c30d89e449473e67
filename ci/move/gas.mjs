// What each function of the contract costs, measured on a Sui Move VM and kept as a table in move/README.md.
//
//   node ci/move/gas.mjs --check        fails if a function costs more than its row says
//   node ci/move/gas.mjs --write        writes the table anew
//
// The VM (PyPI `sui-sandbox`) charges in coarse steps. So each row is a function that builds a small
// world, turns an empty loop, and makes the call or leaves it out: how many turns less it takes to reach the
// next step is what the call costs, in turns of an empty loop. Natives that the VM cannot run stand
// in for themselves, see gas/natives.move. Storage is what the objects' bytes say, as Sui counts them.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { PACKAGE, ROOT, build, cache, packageFiles } from "./builder.mjs";
import { CASES, EXCEPTIONS } from "./gas-cases.mjs";

const HERE = join(ROOT, "ci", "move", "gas");
const README = join(PACKAGE, "README.md");
const [BEGIN, END] = ["<!-- gas: written by ci/move/gas.mjs -->", "<!-- /gas -->"];

// A change of the compiler moves everything a little; more than this is the contract's own.
const GROWTH = 1.03;

const mode = process.argv[2];
if (!["--check", "--write"].includes(mode)) {
  console.error("usage: node ci/move/gas.mjs --check | --write");
  process.exit(2);
}

const unmeasured = withoutRow();
for (const name of unmeasured) console.error(`${name} has neither a row nor an exception in gas-cases.mjs, or is none any more`);
if (unmeasured.length > 0) process.exit(1);

const measured = await measure();
const broken = limits(measured.rows);
for (const line of broken) console.error(line);
if (broken.length > 0) process.exitCode = 1;
const text = readFileSync(README, "utf8");
const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
if (begin < 0 || end < begin) throw new Error(`move/README.md has no "${BEGIN}" … "${END}"`);
if (mode === "--write") {
  writeFileSync(README, `${text.slice(0, begin)}${BEGIN}\n\n${table(measured)}\n${text.slice(end)}`);
} else {
  const known = new Map();
  for (const line of text.slice(begin, end).split("\n")) {
    const cells = line.split("|").map((cell) => cell.trim());
    if (cells.length > 5) known.set(cells[1], { turns: number(cells[3]), bytes: number(cells[5]) });
  }
  const grown = [];
  for (const { name, about, turns, bytes } of measured.rows) {
    const row = known.get(title(name));
    if (!row) grown.push(`${name} has no row`);
    else if (turns > row.turns * GROWTH + 10) grown.push(`${name}: ${row.turns} turns, now ${turns}`);
    else if (bytes > row.bytes) grown.push(`${name}: ${row.bytes} bytes, now ${bytes}`);
  }
  for (const line of grown) console.error(line);
  if (grown.length > 0) {
    console.error("if that is meant to be: node ci/move/gas.mjs --write");
    process.exitCode = 1;
  } else {
    console.log(`${measured.rows.length} calls cost no more than move/README.md says`);
  }
}

// Public functions that nothing measures, and exceptions that are no functions.
function withoutRow() {
  const found = new Set();
  for (const [path, text] of Object.entries(packageFiles({ tests: false }))) {
    const module = /^module k3s_daas::(\w+)/m.exec(text)?.[1];
    if (!path.endsWith(".move") || !module) continue;
    for (const [, attributes, name] of text.matchAll(/((?:^#\[.*\]\n)*)^(?:public|entry|public entry) fun (\w+)/gm)) {
      if (!attributes.includes("test_only")) found.add(`${module}::${name}`);
    }
  }
  const rows = new Set(CASES.map(({ name }) => name));
  const isMissing = (name) => !rows.has(name.split("::")[1]) && !Object.hasOwn(EXCEPTIONS, name);
  return [...found].filter(isMissing).concat(Object.keys(EXCEPTIONS).filter((name) => !found.has(name)));
}

// What the contract promises, whatever the table says.
function limits(rows) {
  const row = new Map(rows.map((one) => [one.name, one]));
  const broken = [];
  const stored = row.get("execute_kubectl_command_with_id").bytes + row.get("store_k8s_response").bytes;
  if (stored > 1_000) broken.push(`a request and its answer by hash store ${stored} bytes, more than 1,000`);
  const pruned = -row.get("prune_responses").bytes;
  if (pruned !== stored) broken.push(`pruning gives back ${pruned} of ${stored} bytes`);
  for (const { name, of, turns } of rows) {
    if (!of) continue;
    const times = turns / row.get(of).turns;
    if (times >= 10) broken.push(`${name}: ${times.toFixed(1)} times ${of}, whose first rule allows; less than 10 are promised`);
  }
  return broken;
}

// `charged`: how many times the least that Sui charges a transaction with this call alone.
function table({ rows, steps }) {
  const lines = [
    "| call | what | turns | charged | bytes |",
    "| --- | --- | ---: | ---: | ---: |",
    ...rows.map(({ name, about, turns, bytes }) => {
      const step = steps.find(({ up_to }) => turns <= up_to);
      const charged = step ? `${step.units / steps[0].units}` : `> ${steps.at(-1).units / steps[0].units}`;
      return `| ${title(name)} | ${about ?? ""} | ${turns} | ${charged} | ${bytes} |`;
    }),
  ];
  const edges = steps.map(({ units, up_to }) => `${units / steps[0].units} up to ${up_to} turns`);
  return `${lines.join("\n")}\n\nCharged: ${edges.join(", ")}.\n`;
}

function title(name) {
  return `\`${name}\``;
}

function number(cell) {
  return Number(cell.replaceAll(",", ""));
}

async function measure() {
  const files = packageFiles({ tests: false });
  for (const path of Object.keys(files)) {
    if (!path.endsWith(".move")) continue;
    files[path] = files[path]
      .replaceAll(/(?<!:)\bhash::blake2b256\(/g, "k3s_daas::gas_natives::blake2b256(")
      .replaceAll(/(?<!:)\bed25519::ed25519_verify\(/g, "k3s_daas::gas_natives::ed25519_verify(")
      .replaceAll("sui::nitro_attestation", "k3s_daas::gas_natives");
  }
  files["sources/gas_natives.move"] = readFileSync(join(HERE, "natives.move"), "utf8");
  files["sources/gas_probe.move"] = `${readFileSync(join(HERE, "world.move"), "utf8")}\n${CASES.map(probe).join("\n")}`;
  const built = await build(files);
  const worlds = new Map();
  for (const { name, executors, rules, before, given } of CASES) {
    const world = JSON.stringify([executors, rules, before, given]);
    worlds.set(world, [...(worlds.get(world) ?? []), name]);
  }
  const input = JSON.stringify({ modules: built.modules, worlds: [...worlds.values()] });
  const output = execFileSync(join(python(), "bin", "python"), [join(HERE, "measure.py")], {
    input,
    maxBuffer: 1 << 26,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const { steps, costs } = JSON.parse(output);
  // What it takes to ask whether to make the call at all.
  const nothing = costs.nothing.turns;
  const rows = CASES.map((row) => ({ ...row, ...costs[row.name] })).filter(({ name }) => name !== "nothing");
  for (const row of rows) row.turns -= nothing;
  return { steps, rows };
}

// The function of a row: `turns` of the loop, and the call if it `does`.
function probe({ name, executors = 1, rules = "narrow()", before = "", given = 'b""', call, creates }) {
  return `
public fun ${name}(coin: Coin<SUI>, clock: &Clock, later: &Clock, turns: u64, does: bool, ctx: &mut TxContext): u64 {
    let mut owned = begin(${executors}, ${rules}, coin, clock, ctx);
    let world = &mut owned;
    ${before ? `${before};` : ""}
    let given = ${given};
    let stored_before = world.stored();
    let mut left = turns;
    while (left > 0) left = left - 1;
    let created = if (does) { ${creates ?? `${call}; 0`} } else 0;
    // A million more, so that what shrinks is a number too.
    let grown = 1_000_000 + world.stored() + created - stored_before;
    end(owned, ctx);
    grown
}`;
}

// A Python with the VM in it; its wheel is for CPython 3.11 alone.
function python() {
  const target = join(cache(), "sui-sandbox-0.22.0");
  if (existsSync(target)) return target;
  mkdirSync(cache(), { recursive: true });
  const work = mkdtempSync(join(cache(), ".sui-sandbox-"));
  try {
    const quiet = { stdio: ["ignore", "ignore", "inherit"] };
    execFileSync("python3.11", ["-m", "venv", work], quiet);
    const requirements = join(HERE, "requirements.txt");
    execFileSync(
      join(work, "bin", "python"),
      ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement", requirements],
      quiet,
    );
    renameSync(work, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}

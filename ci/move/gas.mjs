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
import { CASES } from "./gas-cases.mjs";

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

const measured = await measure();
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

function table({ rows, minimum }) {
  const lines = [
    "| call | what | turns | of the minimum | bytes |",
    "| --- | --- | ---: | ---: | ---: |",
    ...rows.map(({ name, about, turns, bytes }) => {
      const share = turns / minimum;
      return `| ${title(name)} | ${about ?? ""} | ${turns} | ${share.toFixed(share < 10 ? 2 : 0)} | ${bytes} |`;
    }),
  ];
  return `${lines.join("\n")}\n`;
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
  const { minimum, costs } = JSON.parse(output);
  // What it takes to ask whether to make the call at all.
  const nothing = costs.nothing.turns;
  const rows = CASES.map((row) => ({ ...row, ...costs[row.name] })).filter(({ name }) => name !== "nothing");
  for (const row of rows) row.turns -= nothing;
  return { minimum, rows };
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

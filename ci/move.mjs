// Builds, tests and formats the Move package in move/, offline but for the registries that its tools
// come from once. Node 20 or newer.
//
//   node ci/move.mjs build              compile with every lint; a warning is an error
//   node ci/move.mjs test [FILTER]      run the tests whose name contains FILTER
//     --with DIRECTORY                  with the .move files of DIRECTORY as further tests
//   node ci/move.mjs corpus [FILTER]    run the tests that are made of the Rust tests' fixtures
//   node ci/move.mjs twin               hold the package against its Rust twin, on random sequences of calls
//     --bites                           with mistakes put into the package, each of which must show
//   node ci/move.mjs generate DIRECTORY write those tests, to look at
//   node ci/move.mjs format --check     or --write
//   node ci/move.mjs artifact           write what publishing needs; --check compares instead
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

import {
  MAX_PACKAGE_BYTES,
  PACKAGE,
  ROOT,
  build,
  format,
  moveFiles,
  onlyTests,
  testNames,
  packageFiles,
  test,
} from "./move/builder.mjs";
import { corpora, corpusSets, fixtures, onlyHelpers } from "./move/generate.mjs";
import { bites, forget, held, write } from "./move/twin.mjs";

// Where the crate can include it.
const ARTIFACT = join(ROOT, "k3s-daas", "src", "contract", "package.json");

const commands = {
  build: runBuild,
  test: runTest,
  corpus: runCorpus,
  twin: runTwin,
  generate: runGenerate,
  format: runFormat,
  artifact: runArtifact,
};

const [name, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(commands, name ?? "")) {
  console.error("usage: node ci/move.mjs build | test [FILTER] [--with DIRECTORY] | corpus [FILTER] | twin [--bites] | generate DIRECTORY | format --check|--write | artifact [--check]");
  process.exit(2);
}
try {
  process.exitCode = (await commands[name](rest)) ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

async function runBuild() {
  const built = await compiled();
  console.log(`${built.modules.length} modules, ${packageBytes(built)} bytes`);
  return true;
}

async function runTest(args) {
  const added = [];
  let filter = "";
  for (let at = 0; at < args.length; at++) {
    if (args[at] === "--with") added.push(args[++at]);
    else filter = args[at];
  }
  return report([{ ...packageFiles({ added }), ...fixtures() }], filter);
}

async function runCorpus([filter = ""]) {
  const isWanted = (text) => testNames(text).some((name) => name.includes(filter));
  const wanted = corpusSets().filter((set) => Object.values(set).some(isWanted));
  return report(wanted.map((set) => onlyHelpers({ ...packageFiles(), ...set })), filter);
}

async function runTwin(args) {
  const directory = write();
  if (args.includes("--bites")) {
    const missed = await bites(directory);
    forget(directory);
    return missed === 0;
  }
  const ran = await held(directory);
  // Thousands: only what failed is worth a line.
  const failed = ran.tests.filter((test) => !test.passed);
  for (const { name } of failed) console.log(`test ${name} ... FAILED`);
  const passed = sum(ran.tests.length - failed.length, failed.length, ran.failures);
  if (passed) forget(directory);
  else console.log(`the sequences stand in ${directory}`);
  return passed;
}

async function runGenerate([directory]) {
  if (!directory) throw new Error("say where to");
  for (const [path, text] of Object.entries({ ...fixtures(), ...corpora() })) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return true;
}

// Runs the tests of each set of files whose name has `filter` in it and prints what came of them as cargo does, so that
// ci/test.sh counts it.
async function report(sets, filter) {
  const isWanted = (name) => name.includes(filter);
  const tests = [];
  const failures = [];
  for (const files of sets) {
    const ran = await test(onlyTests(files, isWanted));
    tests.push(...ran.tests.filter(({ name }) => isWanted(name)));
    if (ran.failures) failures.push(ran.failures);
  }
  const failed = tests.filter((test) => !test.passed).length;
  for (const { name, passed } of tests) console.log(`test ${name} ... ${passed ? "ok" : "FAILED"}`);
  return sum(tests.length - failed, failed, failures.join("\n\n"));
}

// The last lines, as cargo's.
function sum(passed, failed, failures) {
  if (failed > 0) console.log(`\n${failures}`);
  const result = failed === 0 ? "ok" : "FAILED";
  console.log(`\ntest result: ${result}. ${passed} passed; ${failed} failed; 0 ignored`);
  return failed === 0 && passed > 0;
}

async function runFormat(args) {
  if (!["--check", "--write"].includes(args[0])) throw new Error("say format --check or format --write");
  const other = [];
  for (const [path, text] of Object.entries(moveFiles(PACKAGE))) {
    const formatted = await format(text);
    if (formatted === text) continue;
    other.push(path);
    if (args[0] === "--write") writeFileSync(join(PACKAGE, path), formatted);
  }
  for (const path of other) console.log(`${args[0] === "--write" ? "formatted" : "not formatted:"} move/${path}`);
  return args[0] === "--write" || other.length === 0;
}

async function runArtifact(args) {
  const built = await compiled();
  const size = packageBytes(built);
  const text = `${JSON.stringify(
    {
      modules: built.modules,
      dependencies: built.dependencies,
      digest: `0x${Buffer.from(built.digest).toString("hex")}`,
      size,
    },
    null,
    2,
  )}\n`;
  const shown = relative(ROOT, ARTIFACT);
  if (args[0] === "--check") {
    if (readFileSync(ARTIFACT, "utf8") !== text) {
      throw new Error(`${shown} is not what move/ compiles to; run node ci/move.mjs artifact`);
    }
    console.log(`${shown} is what move/ compiles to, ${size} bytes of at most ${MAX_PACKAGE_BYTES}`);
  } else {
    mkdirSync(dirname(ARTIFACT), { recursive: true });
    writeFileSync(ARTIFACT, text);
    console.log(`${shown}, ${size} bytes of at most ${MAX_PACKAGE_BYTES}`);
  }
  return true;
}

// The compiled package without its tests; throws if the compiler has anything to say.
async function compiled() {
  const built = await build(packageFiles({ tests: false }));
  if (built.warnings) throw new Error(built.warnings);
  const size = packageBytes(built);
  if (size >= MAX_PACKAGE_BYTES) throw new Error(`the package has ${size} bytes, Sui takes ${MAX_PACKAGE_BYTES}`);
  return built;
}

// As Sui measures a package: its modules with their names, its type origins and its linkage.
function packageBytes(built) {
  let size = 8 + built.dependencies.length * 72;
  for (const module of built.modules) size += Buffer.from(module, "base64").length;
  for (const text of Object.values(moveFiles(join(PACKAGE, "sources")))) {
    const module = /^module k3s_daas::(\w+)/m.exec(text)?.[1] ?? "";
    size += module.length;
    for (const [, type] of text.matchAll(/^public (?:struct|enum) (\w+)/gm)) size += module.length + type.length + 32;
  }
  return size;
}

// The Move compiler, its VM and its formatter, fetched once into a cache outside the tree.
//
// The compiler is Sui's own, as WebAssembly in an npm package; the framework's sources lie in a crate.
// Both are locked by hash beside this file.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));

/** The root of the repository. */
export const ROOT = join(HERE, "..", "..");

/** The Move package. */
export const PACKAGE = join(ROOT, "move");

/** What a publish transaction may carry of modules, in bytes: Sui's limit. */
export const MAX_PACKAGE_BYTES = 102_400;

/**
 * The files of the package: path → text. `tests` are left out on demand, files of `added` directories
 * (their `.move` files) stand among the tests.
 */
export function packageFiles({ root = PACKAGE, tests = true, added = [] } = {}) {
  const files = { "Move.toml": readFileSync(join(root, "Move.toml"), "utf8") };
  for (const folder of tests ? ["sources", "tests"] : ["sources"]) {
    if (!existsSync(join(root, folder))) continue;
    for (const [path, text] of Object.entries(moveFiles(join(root, folder)))) {
      files[`${folder}/${path}`] = text;
    }
  }
  for (const directory of added) {
    for (const [path, text] of Object.entries(moveFiles(directory))) files[`tests/added/${path}`] = text;
  }
  return files;
}

/** The full names of the tests in a source file. */
export function testNames(text) {
  const module = /^module (\S+);/m.exec(text)?.[1];
  const tests = text.matchAll(/^#\[(?:test|random_test)\b[^\n]*\n(?:[^\n]*\n)*?fun (\w+)/gm);
  return [...tests].map(([, name]) => `${module}::${name}`);
}

/** `files` without the test modules that have no test whose full name is wanted; what others may use stays. */
export function onlyTests(files, isWanted) {
  const stays = ([path, text]) => {
    const tests = testNames(text);
    const isUsed = /^public (macro )?fun /m.test(text);
    return !path.startsWith("tests/") || isUsed || tests.length === 0 || tests.some(isWanted);
  };
  return Object.fromEntries(Object.entries(files).filter(stays));
}

/** Compiles `files` with every lint. `{modules, dependencies, digest, warnings}`; throws on an error. */
export async function build(files) {
  const { dumpMovePackage } = await compiler();
  const built = await dumpMovePackage({ files, network: "mainnet", fetcher: await framework(), lintFlag: "all" });
  if (built.error !== undefined) throw new Error(built.error);
  return built;
}

/**
 * Compiles `files` and runs their tests. `{tests: [{name, passed}], failures}`, `failures` being the
 * runner's own text about them; throws if nothing could be compiled.
 */
export async function test(files) {
  const { testMovePackage } = await compiler();
  const ran = await testMovePackage({ files, network: "mainnet", fetcher: await framework(), lintFlag: "none" });
  if (ran.error !== undefined) throw new Error(ran.error);
  const output = ran.output.replace(/\u001b\[[0-9;]*m/g, "");
  const tests = [];
  for (const line of output.split("\n")) {
    const found = /^\[ (PASS|FAIL|TIMEOUT) +\] (\S+)/.exec(line.trim());
    if (found) tests.push({ name: found[2], passed: found[1] === "PASS" });
  }
  const total = /Total tests: (\d+); passed: (\d+); failed: (\d+)/.exec(output);
  if (!total || Number(total[1]) !== tests.length) {
    // It did not compile; what only warns is for `build` to say.
    const errors = output.split("\n\n").filter((part) => !part.startsWith("warning["));
    throw new Error(errors.join("\n\n").trim());
  }
  const about = output.indexOf("Test failures:");
  return { tests, failures: about < 0 ? "" : output.slice(about, output.indexOf("Test result:")).trim() };
}

/** `text` as the formatter writes it. */
export async function format(text) {
  const prettier = await import(pathToFileURL(join(tools(), "prettier", "index.mjs")).href);
  const plugin = join(tools(), "@mysten", "prettier-plugin-move", "out", "index.js");
  return prettier.format(text, {
    parser: "move",
    plugins: [plugin],
    printWidth: 100,
    tabWidth: 4,
    useModuleLabel: true,
    autoGroupImports: "module",
  });
}

/** Where the npm packages are installed; installs them if they are not. */
export function tools() {
  const lock = readFileSync(join(HERE, "package-lock.json"));
  const target = join(cache(), `move-${createHash("sha256").update(lock).digest("hex").slice(0, 16)}`);
  if (existsSync(target)) return join(target, "node_modules");
  mkdirSync(cache(), { recursive: true });
  const work = mkdtempSync(join(cache(), ".move-"));
  try {
    for (const file of ["package.json", "package-lock.json"]) copyFileSync(join(HERE, file), join(work, file));
    execFileSync("npm", ["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], {
      cwd: work,
      stdio: ["ignore", "ignore", "inherit"],
    });
    try {
      renameSync(work, target);
    } catch (error) {
      // Another run was faster.
      if (!existsSync(target)) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return join(target, "node_modules");
}

/** The `.move` files below `directory`: path → text, by path. */
export function moveFiles(directory) {
  const files = {};
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".move")) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    files[relative(directory, path)] = readFileSync(path, "utf8");
  }
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
}

let loaded;

function compiler() {
  loaded ??= (async () => {
    const path = join(tools(), "@zktx.io", "sui-move-builder", "dist", "full", "index.js");
    const builder = await import(pathToFileURL(path).href);
    await builder.initMovePackageBuilder();
    return builder;
  })();
  return loaded;
}

let fetcher;

// The builder asks for what a git checkout of Sui would hold; all it may get is the crate's copy.
function framework() {
  fetcher ??= (async () => {
    const root = frameworkRoot();
    const read = (subdir) => {
      const folder = subdir.split("/").pop();
      const files = moveFiles(join(root, folder));
      return { ...files, "Move.toml": readFileSync(join(root, folder, "Move.toml"), "utf8") };
    };
    return {
      fetch: async (_git, _rev, subdir) => read(subdir),
      fetchLocal: async (path) => read(path),
      fetchFile: async () => null,
      getResolvedSha: (_git, rev) => rev,
    };
  })();
  return fetcher;
}

function frameworkRoot() {
  const manifest = join(HERE, "framework", "Cargo.toml");
  const metadata = execFileSync(
    "cargo",
    ["metadata", "--quiet", "--locked", "--format-version", "1", "--manifest-path", manifest],
    { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] },
  );
  const crate = JSON.parse(metadata).packages.find((found) => found.name === "moverox-sui");
  return join(dirname(crate.manifest_path), "move");
}

/** The cache outside the tree, which the Makefile names too. */
export function cache() {
  return process.env.DAAS_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "k3s-daas");
}

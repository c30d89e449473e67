// Move tests made of the fixtures that the Rust tests hold, so that both implementations answer to the
// same rows. Nothing of it is checked in.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { ROOT } from "./builder.mjs";
import { golden } from "./golden.mjs";

const FIXTURES = join(ROOT, "k3s-daas", "tests", "fixtures");

/** Tests of the golden bytes: path → text. They are few and run with the package's own. */
export function fixtures() {
  return golden();
}

/** Tests of the corpora, which are many. */
export function corpora() {
  return { ...derivation(), ...policy() };
}

/** `files` without their own tests: what is left of those are the helpers that the corpora use. */
export function onlyHelpers(files) {
  const helpers = {};
  for (const [path, text] of Object.entries(files)) {
    const isOwn = path.startsWith("tests/") && !path.startsWith("tests/generated/");
    if (!isOwn) helpers[path] = text;
    else if (/^public fun /m.test(text)) helpers[path] = text.replace(/^#\[(test|random_test)\b.*\]$/gm, "");
  }
  return helpers;
}

/** The rows of a fixture: `{line, fields}`, `line` counted from 1. */
export function rows(file) {
  return readFileSync(join(FIXTURES, file), "utf8")
    .split("\n")
    .map((text, index) => ({ line: index + 1, fields: text.split("\t") }))
    .filter(({ fields }) => fields.length > 1 && !fields[0].startsWith("#"));
}

/** The bytes of a field in which `\xHH` stands for what is not visible ASCII. */
export function unescape(text) {
  const bytes = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") {
      bytes.push(Number.parseInt(text.slice(at + 2, at + 4), 16));
      at += 3;
    } else {
      bytes.push(text.charCodeAt(at));
    }
  }
  return Buffer.from(bytes);
}

/** A Move literal of these bytes, readable if they are. */
export function literal(bytes) {
  const text = bytes.toString("latin1");
  return /^[ !#-[\]-~]*$/.test(text) ? `b"${text}"` : `x"${bytes.toString("hex")}"`;
}

/** The corpora one by one: the VM takes only so much of one package. */
export function corpusSets() {
  const files = Object.entries(corpora());
  const names = new Set(files.map(([path]) => path.replace(/_\d+\.move$/, "")));
  return [...names].map((name) => Object.fromEntries(files.filter(([path]) => path.startsWith(`${name}_`))));
}

/**
 * Test modules of `rows`, each row a statement `check(…)` that aborts with its line, after `header`.
 * A failure names the first row of its batch that fails.
 */
export function batches(name, rows, header, statement) {
  const BATCH = 50;
  const BATCHES_OF_MODULE = 10;
  const files = {};
  for (let begin = 0, part = 0; begin < rows.length; begin += BATCH * BATCHES_OF_MODULE, part++) {
    const tests = [];
    for (let at = begin; at < Math.min(begin + BATCH * BATCHES_OF_MODULE, rows.length); at += BATCH) {
      const batch = rows.slice(at, Math.min(at + BATCH, rows.length));
      const body = batch.map((row) => `    ${statement(row)}`).join("\n");
      tests.push(`#[test]\nfun lines_${batch[0].line}_to_${batch.at(-1).line}() {\n${body}\n}\n`);
    }
    files[`tests/generated/${name}_${part}.move`] =
      `#[test_only]\nmodule k3s_daas::${name}_${part};\n\n${header}\n\n${tests.join("\n")}`;
  }
  return files;
}

/** The derivation corpus: what each (method, path, query) names. */
function derivation() {
  const corpus = rows("derivation.tsv");
  const header = `use k3s_daas::resource_path_tests as corpus;`;
  return batches("derivation_corpus", corpus, header, ({ line, fields }) => {
    const [method, path, query, outcome, verb, , flags = "", ...texts] = fields;
    const request = [method, path, query.slice(1)].map((field) => literal(unescape(field)));
    const known = query.startsWith("=");
    if (outcome !== "ok") return `corpus::is_malformed(${request.join(", ")}, ${known}, ${line});`;
    while (texts.length < 6) texts.push("");
    const set = new Set(flags.split(","));
    const flag = ["resource", "read", "connect", "discovery", "self-review"].map((name) => set.has(name));
    const derived = [verb, ...texts].map((field) => literal(unescape(field)));
    return `corpus::derives(${[...request, known, vector(flag), vector(derived), line].join(", ")});`;
  });
}

/** The policy corpus: what rules allow. */
function policy() {
  const corpus = rows("policy.tsv");
  const header = `use k3s_daas::policy_tests as corpus;`;
  const FIELDS = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs", "namespaces"];
  return batches("policy_corpus", corpus, header, ({ line, fields }) => {
    const [rules, method, path, query, allowed] = fields;
    const built = JSON.parse(rules).map((rule) => {
      const lists = FIELDS.map((field) => vector((rule[field] ?? []).map((text) => literal(Buffer.from(text)))));
      return `corpus::rule_of(${vector(lists)})`;
    });
    const request = [method, path, query].map((field) => literal(Buffer.from(field)));
    return `corpus::decides(${[vector(built), ...request, allowed, line].join(", ")});`;
  });
}

function vector(items) {
  return `vector[${items.join(", ")}]`;
}

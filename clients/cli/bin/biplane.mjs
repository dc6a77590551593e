#!/usr/bin/env node
/** Finds a Node that is new enough (this one, or the one that npm's `node` package brought) and starts the CLI in it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const majorMin = 24;
const here = dirname(fileURLToPath(import.meta.url));
const cli = [join(here, "../cli.mjs"), join(here, "../../../dist/cli.mjs")].find((path) => existsSync(path));

if (cli === undefined) {
  console.error("biplane: dist/cli.mjs is missing. Run `npm run build`.");
  process.exit(1);
}
if (Number(process.versions.node.split(".")[0]) >= majorMin) {
  await import(cli);
} else {
  const node = findNode();
  const result = spawnSync(node, [cli, ...process.argv.slice(2)], { stdio: "inherit" });
  process.exit(result.status ?? 1);
}

function findNode() {
  try {
    const require = createRequire(cli);
    const folder = dirname(require.resolve("node/package.json"));
    const node = join(folder, "bin", process.platform === "win32" ? "node.exe" : "node");
    if (existsSync(node)) return node;
  } catch {
    // Said below.
  }
  console.error(
    `biplane: Node ${majorMin} or newer is needed. Install it, or run \`npm install node@${majorMin}\`.`,
  );
  process.exit(1);
}

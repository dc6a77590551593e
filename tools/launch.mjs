/**
 * The one way into the house from a fresh clone: `npm run demo`, `npm test` and the rest start here. Installs what is
 * missing, builds, and goes on under Node 24. Plain JavaScript for Node 20, since it runs before anything is installed.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const inherit = { cwd: root, stdio: "inherit" };

/** What each word starts. `python`: the parts from PyPI are wanted too. `typed`: runs sources that hold enums. */
const commands = {
  build: { program: ["tools/build.ts"], build: false, python: false },
  classes: {
    program: ["--import", "./tools/typescript.mjs", "tools/register/document.ts"],
    build: true,
    python: false,
  },
  contents: { program: ["tools/dependencies.ts"], build: true, python: false },
  demo: { program: ["dist/demo.mjs"], build: true, python: false },
  test: { program: ["tools/testing/run.ts"], build: true, python: true },
  bench: { program: ["--import", "./tools/typescript.mjs", "bench/run.ts"], build: true, python: false },
  verify: { program: ["dist/cli.mjs", "verify"], build: true, python: false },
};

const [word, ...rest] = process.argv.slice(2);
const command = commands[word];
if (command === undefined) {
  fail(
    `There is no command ${JSON.stringify(word ?? "")}.`,
    `Use one of: ${Object.keys(commands).join(", ")}.`,
  );
}
requireNode(20);
installPackages();
const environment = { ...process.env, PATH: join(root, "node_modules/.bin") + delimiter + process.env.PATH };
const node = join(root, "node_modules/.bin/node");
if (command.python) installPythonParts();
if (command.build) runOrEnd("The build failed.", node, ["tools/build.ts"]);
const child = spawn(node, [...command.program, ...rest], { ...inherit, env: environment });
// The terminal sends Ctrl-C to the whole group; the child decides how to end, and this process tells its code.
for (const signal of ["SIGINT", "SIGTERM"])
  process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));

function requireNode(majorMin) {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < majorMin) {
    fail(
      `This is Node ${process.versions.node}; Biplane starts from Node ${majorMin}.`,
      "Install a newer Node.",
    );
  }
}

function installPackages() {
  if (packagesAreCurrent()) return;
  console.error("Installing the npm packages of package-lock.json (once; a minute or two) ...");
  // `npm ci` demands an entry for every other system's optional package, which mirrors of the registry may lack.
  const parameters = [
    "install",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--progress=true",
  ];
  const result = spawnSync("npm", parameters, inherit);
  if (result.status !== 0) {
    fail(
      "npm could not install the packages.",
      "Its messages are above; run the same command again after mending.",
    );
  }
}

/** Compares what is installed with the lock. Packages for other systems are optional and may be absent. */
function packagesAreCurrent() {
  const installedPath = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedPath)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(readFileSync(installedPath, "utf8")).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes("node_modules/")) return true;
    const found = installed[path];
    return found === undefined ? entry.optional === true : found.version === entry.version;
  });
}

function installPythonParts() {
  const result = spawnSync(node, ["tools/python.ts"], { ...inherit, env: environment });
  // Tests that need these parts say so one by one: as skips here, as failures in CI.
  if (result.status !== 0) console.error("The parts from PyPI are not complete; see above.");
}

function runOrEnd(what, program, parameters) {
  const result = spawnSync(program, parameters, { ...inherit, env: environment });
  if (result.status !== 0) fail(what, "Its messages are above.");
}

function fail(what, next) {
  console.error(`${what} ${next}`);
  process.exit(1);
}

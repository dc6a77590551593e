/**
 * Installs the clients from PyPI that tests judge Biplane by, into `.tools/venv`. Does nothing where they are there
 * already; exits with 1 and says why where they can't be installed.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = ".tools/venv";
const requirements = "tools/python-requirements.txt";
const stampPath = join(folder, "requirements.sha256");
const installMsMax = 10 * 60_000;

const stamp = createHash("sha256").update(readFileSync(requirements)).digest("hex");
if (!existsSync(stampPath) || readFileSync(stampPath, "utf8") !== stamp) install();

function install(): void {
  console.error(`Installing the Python clients of ${requirements} into ${folder} (once) ...`);
  rmSync(folder, { recursive: true, force: true });
  run("python3", ["-m", "venv", folder], "Install Python 3.10 or newer with its venv module.");
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
  run(join(folder, "bin/python"), pip, "PyPI must be reachable, or a mirror named by PIP_INDEX_URL.");
  writeFileSync(stampPath, stamp);
}

function run(program: string, parameters: string[], next: string): void {
  const result = spawnSync(program, parameters, { stdio: ["ignore", 2, 2], timeout: installMsMax });
  if (result.status === 0) return;
  const why = result.error?.message ?? `exit code ${result.status ?? result.signal}`;
  console.error(`${program} ${parameters.slice(0, 3).join(" ")} failed: ${why}. ${next}`);
  process.exit(1);
}

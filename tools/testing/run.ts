/**
 * `npm test [PROJECT [NAME]] [-- --seeds N]`: checks, then every Vitest project, then each skip and each failure with its
 * reason and one line of counts. Those that start whole systems run together, so that one waits while another one works.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ProjectSummary } from "./reporter.ts";

const groups = [
  ["unit", "boundary", "policy"],
  ["contract", "conformance", "e2e", "faults"],
];
const projects = groups.flat();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: "string" }, seed: { type: "string" }, questions: { type: "string" } },
});
const [project, ...names] = positionals;
if (project !== undefined && !projects.includes(project)) {
  console.error(`There is no test project ${JSON.stringify(project)}. Use one of: ${projects.join(", ")}.`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), "biplane-test-"));
const summaryPath = join(folder, "summary.jsonl");
const failures: string[] = [];
if (project === undefined) {
  for (const program of [
    ["tsc", "-p", "."],
    ["biome", "check", "."],
  ]) {
    if (!run(`Check: ${program.join(" ")}`, program)) failures.push(program.join(" "));
  }
}
for (const group of project === undefined ? groups : [[project]]) {
  if (!runProjects(group)) failures.push(`a project of ${group.join(", ")}`);
}
const clean = report();
rmSync(folder, { recursive: true, force: true });
process.exit(clean && failures.length === 0 ? 0 : 1);

function runProjects(group: readonly string[]): boolean {
  for (const name of group) {
    const pattern = name === "unit" ? "**/*.test.ts" : `tests/${name}/**/*.test.ts`;
    const files = globSync(pattern, { exclude: ["**/node_modules/**"] });
    if (files.length === 0) throw new Error(`Project ${name} has no test: ${pattern} matches nothing.`);
  }
  // The `-alone` half of a project goes with it.
  const chosen = group.map((name) => `--project=${name}*`);
  const filters = names.map((part) => (existsSync(part) ? part : `tests/${group[0]}/${part}`));
  const reporters = ["--reporter=default", "--reporter=./tools/testing/reporter.ts"];
  return run(`Tests: ${group.join(", ")}`, ["vitest", "run", ...chosen, ...reporters, ...filters]);
}

function run(title: string, program: readonly string[]): boolean {
  console.log(`\n== ${title}`);
  const environment = {
    ...process.env,
    BIPLANE_TEST_SUMMARY: summaryPath,
    ...(values.seeds === undefined ? {} : { BIPLANE_FAULT_SEEDS: values.seeds }),
    ...(values.questions === undefined ? {} : { BIPLANE_POLICY_QUESTIONS: values.questions }),
    ...(values.seed === undefined ? {} : { BIPLANE_FAULT_SEED: values.seed }),
  };
  return spawnSync(program[0]!, program.slice(1), { stdio: "inherit", env: environment }).status === 0;
}

function report(): boolean {
  const lines = existsSync(summaryPath) ? readFileSync(summaryPath, "utf8").trim().split("\n") : [];
  const summaries = lines.map((line) => JSON.parse(line) as ProjectSummary);
  const passed = summaries.reduce((total, summary) => total + summary.passed, 0);
  const skipped = summaries.flatMap((summary) => summary.skipped);
  const failed = summaries.flatMap((summary) => summary.failed);
  tell("Skipped", skipped);
  tell("Failed", failed);
  for (const what of failures) console.log(`FAILED: ${what}`);
  const failedCount = Math.max(failed.length, failures.length);
  console.log(`\n${passed} passed, ${failedCount} failed, ${skipped.length} skipped`);
  return failedCount === 0 && passed > 0;
}

function tell(heading: string, tests: ProjectSummary["failed"]): void {
  if (tests.length > 0) console.log(`\n== ${heading}`);
  for (const { title, reason } of tests) console.log(`${title}: ${reason}`);
}

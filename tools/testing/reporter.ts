/**
 * Adds to Vitest's own output what `npm test` needs at its end: how many tests passed, and each failure and each skip
 * with its reason, as JSON lines.
 */
import { appendFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

interface Told {
  readonly title: string;
  readonly reason: string;
}

export interface ProjectSummary {
  passed: number;
  readonly failed: Told[];
  readonly skipped: Told[];
}
type Errors = readonly { readonly message: string }[];

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: Errors): void {
    const path = process.env["BIPLANE_TEST_SUMMARY"];
    if (path === undefined) return;
    const summary: ProjectSummary = { passed: 0, failed: [], skipped: [] };
    for (const error of unhandledErrors)
      summary.failed.push({ title: "outside of tests", reason: reasonOf([error]) });
    for (const module of modules) countModule(module, summary);
    appendFileSync(path, `${JSON.stringify(summary)}\n`);
  }
}

function countModule(module: TestModule, summary: ProjectSummary): void {
  const file = module.relativeModuleId;
  // A file that can't be loaded holds no test that could fail.
  for (const error of module.errors()) summary.failed.push({ title: file, reason: reasonOf([error]) });
  for (const suite of module.children.allSuites()) {
    for (const error of suite.errors())
      summary.failed.push({ title: `${file}: ${suite.fullName}`, reason: reasonOf([error]) });
  }
  for (const test of module.children.allTests()) {
    const title = `${file}: ${test.fullName}`;
    const result = test.result();
    if (result.state === "passed") summary.passed += 1;
    else if (result.state === "failed") summary.failed.push({ title, reason: reasonOf(result.errors) });
    else {
      const reason = (result.state === "skipped" && result.note) || "no reason given";
      summary.skipped.push({ title, reason });
    }
  }
}

/** The first lines of each error: enough to tell a time that ran out from a wrong answer. */
function reasonOf(errors: Errors): string {
  return errors.map(({ message }) => message.slice(0, reasonLengthMax)).join("; ");
}

const reasonLengthMax = 1_000;

/** Adds to Vitest's own output what `npm test` needs at its end: counts, and each skip with its reason, as JSON lines. */
import { appendFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

export interface ProjectSummary {
  passed: number;
  failed: number;
  skipped: { title: string; reason: string }[];
}

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const path = process.env["BIPLANE_TEST_SUMMARY"];
    if (path === undefined) return;
    const summary: ProjectSummary = { passed: 0, failed: unhandledErrors.length, skipped: [] };
    for (const module of modules) countModule(module, summary);
    appendFileSync(path, `${JSON.stringify(summary)}\n`);
  }
}

function countModule(module: TestModule, summary: ProjectSummary): void {
  // A file that can't be loaded holds no test that could fail.
  summary.failed += module.errors().length;
  for (const suite of module.children.allSuites()) summary.failed += suite.errors().length;
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === "passed") summary.passed += 1;
    else if (result.state === "failed") summary.failed += 1;
    else {
      const reason = (result.state === "skipped" && result.note) || "no reason given";
      summary.skipped.push({ title: `${module.relativeModuleId}: ${test.fullName}`, reason });
    }
  }
}

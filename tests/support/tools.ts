/**
 * Tests that need a program or package of the machine. Where it is missing they are skipped with the reason and the
 * command that installs it; with CI=true a missing tool fails the test, so that a skip can't hide there.
 */
import { describe, type TestContext, test } from "vitest";
import { missingTools, type ToolName } from "./find-tools.ts";

export { flytePath, missingTools, pythonPath, type ToolName } from "./find-tools.ts";

/** Like `describe`, with the suite skipped where a tool is missing; in CI that fails instead. */
export function describeWithTools(title: string, names: readonly ToolName[], suite: () => void): void {
  const reason = missingTools(names);
  if (reason === undefined) describe(title, suite);
  else describe(title, () => test("has the tools that it needs", (context) => skip(context, reason)));
}

/** Skips one test for want of something on the machine; in CI it fails instead. */
export function skip(context: TestContext, reason: string): never {
  if (process.env["CI"] === "true") throw new Error(`In CI nothing is skipped, and this test ${reason}.`);
  return context.skip(reason);
}

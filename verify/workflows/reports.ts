/** A report of a chosen size and a log line, for tests of what becomes unreadable with a key. */
import { report, task, z } from "@biplane/sdk";

export const largeReport = task(
  { name: "large-report", input: z.object({ mebibytes: z.number().int() }), output: z.string() },
  async ({ mebibytes }) => {
    console.log("a line of the log");
    report.html("x".repeat(mebibytes * 1024 * 1024));
    return "done";
  },
);

export const fails = task({ name: "fails", output: z.string(), retries: 0 }, async () => {
  throw new Error("why it failed");
});

/**
 * One value for each kind of data, each in its own place: all but the code's own are computed from `@canary:code@` while the
 * task runs, so that the code does not hold them (claim CLS-5).
 */
import { createHash } from "node:crypto";
import { File, file, report, task, z } from "@biplane/sdk";

const value = (kind: string) => createHash("sha256").update(`@canary:code@ ${kind}`).digest("hex");

export const failing = task({ name: "failing-in-its-place", output: z.string(), retries: 0 }, async () => {
  throw new Error(value("error"));
});

export const places = task(
  {
    name: "places",
    description: "@canary:description@",
    input: z.object({ text: z.string(), source: file() }),
    output: z.object({ text: z.string(), made: file() }),
  },
  async () => {
    console.log(value("log"));
    report.html(`<p>${value("report")}</p>`);
    await failing().catch(() => undefined);
    return { text: value("output"), made: await File.write("made.txt", value("file")) };
  },
);

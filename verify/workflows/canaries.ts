/**
 * Customer data of every kind. Each `@canary:KIND@` is replaced by a value that appears nowhere else before this file
 * is bundled, so that the code itself, its defaults and its descriptions are canaries too.
 */
import { File, file, map, report, step, task, z } from "@biplane/sdk";

export const failing = task(
  {
    name: "failing",
    description: "@canary:description@",
    input: z.object({ text: z.string() }),
    output: z.string(),
  },
  async ({ text }) => {
    throw new Error(`@canary:error@ and ${text}`);
  },
);

export const leaf = task(
  {
    name: "leaf",
    env: { LEAF_SETTING: "@canary:taskenv@" },
    input: z.object({ item: z.string() }),
    output: file(),
  },
  async ({ item }) => {
    console.log(`@canary:log@ ${item} ${process.env["LEAF_SETTING"]}`);
    return File.write("result.txt", `@canary:file@ ${item}`);
  },
);

export const everything = task(
  {
    name: "everything",
    input: z.object({
      text: z.string(),
      source: file(),
      note: z.string().default("@canary:default@"),
    }),
    output: z.object({ text: z.string(), files: z.array(file()), failure: z.string() }),
  },
  async ({ text, source, note }) => {
    const content = await source.text();
    const found = await step("@canary:step@", () => `${content} ${note} ${process.env["RUN_SETTING"]}`);
    const files = await map(leaf, [{ item: `${text} one` }, { item: `${text} two` }], {
      group: "@canary:group@",
    });
    const failure = await failing({ text }).then(
      () => "did not fail",
      (error: Error) => error.message,
    );
    report.html(`<p>@canary:report@ ${found}</p>`);
    console.error(`@canary:stderr@ ${found}`);
    return { text: `@canary:output@ ${text}`, files, failure };
  },
);

export const endless = task({ name: "endless" }, async () => {
  console.log("@canary:endlesslog@");
  await new Promise((resolve) => setTimeout(resolve, 600_000));
});

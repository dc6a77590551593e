/** Small tasks for the command line's tests. */
import {
  context,
  Duration,
  duration,
  environment,
  File,
  file,
  NonRecoverableError,
  report,
  z,
} from "@biplane/sdk";

const env = environment("cli");

export const greet = env.task(
  {
    description: "Greets people",
    input: z.object({
      names: z.array(z.string()),
      salute: z.enum(["hello", "goodbye"]).default("hello"),
      loud: z.boolean().default(false),
      times: z.int().default(1).describe("how often"),
      pause: duration().default(Duration.seconds(0)),
      since: z.date().optional(),
    }),
    output: z.array(z.string()),
  },
  async ({ names, salute, loud, times, pause, since }) => {
    console.log(`greeting ${names.length} people`);
    await new Promise((resolve) => setTimeout(resolve, pause.milliseconds));
    report.html(`<h1>${report.escape(names.join(", "))}</h1>`);
    const lines = names.flatMap((name) => Array.from({ length: times }, () => `${salute} ${name}`));
    const dated =
      since === undefined ? lines : lines.map((line) => `${line} since ${since.getUTCFullYear()}`);
    return loud ? dated.map((line) => line.toUpperCase()) : dated;
  },
);

export const measure = env.task(
  {
    input: z.object({ source: file() }),
    output: z.object({ bytes: z.int(), copy: file(), empty: z.string().nullable() }),
  },
  async ({ source }) => {
    const content = await source.bytes();
    return { bytes: content.byteLength, copy: await File.write("copy.bin", content), empty: null };
  },
);

export const fail = env.task({ input: z.object({ final: z.boolean().default(true) }) }, ({ final }) => {
  if (final) throw new NonRecoverableError("it can't be done");
  throw new Error("not this time");
});

export const sleep = env.task({ output: z.string() }, async () => {
  await new Promise((resolve) => setTimeout(resolve, 120_000));
  return "awake";
});

/** Fails twice. */
export const retry = env.task({ output: z.int(), retries: 3 }, () => {
  const { attempt } = context();
  console.log(`line of ${attempt}`);
  if (attempt < 3) throw new Error(`no luck in ${attempt}`);
  return attempt;
});

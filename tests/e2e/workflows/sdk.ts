/** What a task can do, in one place each: the SDK's features on a real cluster. */
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  context,
  Dir,
  Duration,
  dir,
  duration,
  environment,
  File,
  file,
  group,
  mapSettled,
  NonRecoverableError,
  step,
  TaskAbortedError,
  TaskFailedError,
  TaskTimedOutError,
  z,
} from "@biplane/sdk";

const env = environment("sdk", { env: { GREETING: "hello" } });

const everyType = z.object({
  text: z.string(),
  count: z.int(),
  ratio: z.number(),
  large: z.bigint(),
  yes: z.boolean(),
  at: z.date(),
  span: duration(),
  choice: z.enum(["a", "b"]),
  list: z.array(z.object({ n: z.int() })),
  map: z.record(z.string(), z.date()),
  either: z.union([z.int(), z.string()]),
  maybe: z.string().optional(),
  nothing: z.string().nullable(),
});
type EveryType = z.infer<typeof everyType>;

export const echo = env.task(
  { input: z.object({ value: everyType }), output: everyType },
  ({ value }) => value,
);

/** Everything goes through a sub-action and comes back equal. */
export const types = env.task({ output: z.boolean() }, async () => {
  const value: EveryType = {
    text: "grüße",
    count: 7,
    ratio: 0.1,
    large: 2n ** 60n,
    yes: true,
    at: new Date("2026-01-02T03:04:05.678Z"),
    span: Duration.of({ minutes: 1.5 }),
    choice: "b",
    list: [{ n: 1 }, { n: 2 }],
    map: { k: new Date(0) },
    either: "x",
    maybe: "here",
    nothing: null,
  };
  const echoed = await echo({ value });
  const text = (one: EveryType) =>
    JSON.stringify(one, (_, item) => (typeof item === "bigint" ? `${item}n` : item));
  return text(echoed) === text(value) && echoed.at instanceof Date && echoed.span instanceof Duration;
});

export const listing = env.task(
  { input: z.object({ folder: dir() }), output: z.array(z.string()) },
  async ({ folder }) => {
    const path = await folder.download();
    const names = await readdir(path, { recursive: true, withFileTypes: true });
    const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
    return Promise.all(
      files.sort().map(async (one) => `${one.slice(path.length + 1)}=${await readFile(one, "utf8")}`),
    );
  },
);

/** A folder with odd names, and a file of several parts. */
export const storage = env.task(
  {
    input: z.object({ megabytes: z.int() }),
    output: z.object({ names: z.array(z.string()), bytes: z.int() }),
  },
  async ({ megabytes }) => {
    const folder = await mkdtemp(join(tmpdir(), "storage-"));
    await mkdir(join(folder, "sub folder"));
    await writeFile(join(folder, "a+b.txt"), "one");
    await writeFile(join(folder, "sub folder", "ünïcode & (more)'*!.txt"), "two");
    const names = await listing({ folder: await Dir.upload(folder) });
    const large = await File.write("large.bin", megabytesOf(megabytes));
    let bytes = 0;
    for await (const chunk of large.stream()) bytes += chunk.byteLength;
    return { names, bytes };
  },
);

async function* megabytesOf(count: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(1024 * 1024, index);
}

/** The first attempt saves where it is and fails; the second takes up the checkpoint and the recorded step. */
export const resuming = env.task(
  { retries: 1, output: z.object({ attempt: z.int(), found: z.string(), stepRan: z.string() }) },
  async () => {
    const { attempt, checkpoint } = context();
    const stepRan = await step("once", () => `in attempt ${attempt}`);
    const found = Buffer.from((await checkpoint.load()) ?? []).toString();
    await checkpoint.save(`left by ${attempt}`);
    if (attempt === 1) throw new Error("again, please");
    return { attempt, found, stepRan };
  },
);

export const failing = env.task(
  { input: z.object({ how: z.string() }), timeout: Duration.seconds(2) },
  async ({ how }) => {
    if (how === "final") throw new NonRecoverableError("final words");
    if (how === "slow") await new Promise((resolve) => setTimeout(resolve, 60_000));
    if (how === "exit") process.exit(3);
  },
);

/** Each kind of failure is its own error, and leaves the others alone. */
export const failures = env.task({ output: z.array(z.string()) }, async () => {
  const ways = ["final", "slow", "fine", "exit"];
  const settled = await group("ways", () =>
    mapSettled(
      failing,
      ways.map((how) => ({ how })),
    ),
  );
  return settled.map((one) => {
    if (one.status === "fulfilled") return "fine";
    const { reason } = one as PromiseRejectedResult;
    if (reason instanceof TaskTimedOutError) return "timed out";
    if (reason instanceof TaskAbortedError) return "aborted";
    return reason instanceof TaskFailedError ? reason.code : "another error";
  });
});

export const repeat = env.task(
  { input: z.object({ text: z.string() }), output: z.string() },
  ({ text }) => text,
);

/** Values that are too large to travel beside the messages. */
export const large = env.task(
  { input: z.object({ characters: z.int() }), output: z.int() },
  async ({ characters }) => {
    const text = await repeat({ text: "x".repeat(characters) });
    return text.length;
  },
);

export const surroundings = env.task(
  { input: z.object({ source: file() }), output: z.record(z.string(), z.string()) },
  async ({ source }) => {
    const { project, domain, action, task, attempt } = context();
    return {
      ...{ project, domain, action, task, attempt: String(attempt) },
      greeting: process.env["GREETING"] ?? "",
      given: process.env["GIVEN"] ?? "",
      source: await source.text(),
    };
  },
);

/** What a worker's start leaves out until it is asked for. */
export const library = env.task({ output: z.record(z.string(), z.string()) }, async () => {
  z.config(z.locales.de());
  const told = z.string().min(3).safeParse("ab").error?.message ?? "";
  z.config(z.locales.en());
  const response = new Response("", { headers: new Headers({ "X-One": "1" }) });
  return { told, file: File.name, folder: Dir.name, header: response.headers.get("x-one") ?? "" };
});

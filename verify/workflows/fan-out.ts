/** Data passed from task to task through the object store, slowly enough for something to happen meanwhile. */
import { File, file, map, task, z } from "@biplane/sdk";

export const write = task(
  { name: "write", input: z.object({ n: z.int(), pauseMs: z.int() }), output: file() },
  async ({ n, pauseMs }) => {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    return File.write("number.txt", String(n * n));
  },
);

export const sum = task(
  { name: "sum", input: z.object({ width: z.int(), pauseMs: z.int() }), output: z.int() },
  async ({ width, pauseMs }) => {
    const files = await map(
      write,
      Array.from({ length: width }, (_, n) => ({ n, pauseMs })),
    );
    const numbers = await Promise.all(files.map(async (one) => Number(await one.text())));
    return numbers.reduce((total, number) => total + number, 0);
  },
);

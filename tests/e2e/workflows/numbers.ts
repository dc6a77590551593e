/** Small tasks whose results are known, for tests that disturb the system while they run. */
import { map, step, task, z } from "@biplane/sdk";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const square = task(
  {
    name: "square",
    input: z.object({ n: z.number().int(), pauseMs: z.number().int() }),
    output: z.number().int(),
  },
  async ({ n, pauseMs }) => {
    console.log(`squaring ${n}`);
    await pause(pauseMs);
    return n * n;
  },
);

/** One sub-action for each number below `width`; the results in order. */
export const squares = task(
  {
    name: "squares",
    input: z.object({ width: z.number().int(), pauseMs: z.number().int() }),
    output: z.array(z.number().int()),
  },
  ({ width, pauseMs }) =>
    map(
      square,
      Array.from({ length: width }, (_, n) => ({ n, pauseMs })),
    ),
);

export const length = task(
  { name: "length", input: z.object({ text: z.string() }), output: z.number().int() },
  async ({ text }) => text.length,
);

/** Three recorded steps and no sub-action. */
export const threeSteps = task(
  { name: "three-steps", input: z.object({ n: z.number() }), output: z.number() },
  async ({ n }) => {
    const first = await step("first", () => n + 1);
    const second = await step("second", () => first + 1);
    return step("third", () => second + 1);
  },
);

export const addOne = task(
  { name: "add-one", input: z.object({ n: z.number() }), output: z.number() },
  async ({ n }) => n + 1,
);

/** Three sub-actions, one after the other. */
export const threeActions = task(
  { name: "three-actions", input: z.object({ n: z.number() }), output: z.number() },
  async ({ n }) => addOne({ n: await addOne({ n: await addOne({ n }) }) }),
);

/** One recorded step and no sub-action. */
export const oneStep = task(
  { name: "one-step", input: z.object({ n: z.number() }), output: z.number() },
  async ({ n }) => step("only", () => n + 1),
);

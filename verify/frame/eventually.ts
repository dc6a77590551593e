/** Waits for what another process will have done: asks again until the expectation holds or the time is over. */

export async function eventually<T>(
  ask: () => Promise<T>,
  isDone: (value: T) => boolean,
  options: { readonly withinMs: number; readonly what: string; readonly everyMs?: number },
): Promise<T> {
  const deadline = Date.now() + options.withinMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await ask();
      if (isDone(value)) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const shown =
        last instanceof Error ? last.message : JSON.stringify(last, stringifyBigint)?.slice(0, 1_000);
      throw new Error(`${options.what} did not happen within ${options.withinMs} ms; last seen: ${shown}`);
    }
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 100));
  }
}

function stringifyBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** Does something with each item, some at once, results in the items' order. The first failure ends it. */
export async function concurrently<Item, Result>(
  items: readonly Item[],
  atOnceMax: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  if (!(atOnceMax >= 1)) throw new RangeError("The concurrency has to be at least 1.");
  const results: Result[] = new Array(items.length);
  let next = 0;
  let failed = false;
  async function takeItems(): Promise<void> {
    while (next < items.length && !failed) {
      const index = next;
      next += 1;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnceMax, items.length) }, takeItems));
  return results;
}

import { expect, test } from "vitest";
import { Resolver } from "./resolver.ts";

test("two names are looked up at a time, each once; others wait for their turn", async () => {
  const under = new Map<string, (addresses: string[]) => void>();
  const asked: string[] = [];
  const resolver = new Resolver((name) => {
    asked.push(name);
    return new Promise((answer) => under.set(name, answer));
  });
  const found = ["a", "b", "a", "c"].map(resolver.resolve);
  await Promise.resolve();
  expect(asked).toEqual(["a", "b"]);
  under.get("a")!(["1.1.1.1"]);
  expect(await found[0]).toEqual(["1.1.1.1"]);
  expect(await found[2]).toEqual(["1.1.1.1"]);
  await expect.poll(() => asked).toEqual(["a", "b", "c"]);
  under.get("c")!(["3.3.3.3"]);
  under.get("b")!(["2.2.2.2"]);
  expect(await Promise.all([found[1], found[3]])).toEqual([["2.2.2.2"], ["3.3.3.3"]]);
});

test("a name without an address is an error, and is asked for again the next time", async () => {
  let asked = 0;
  const resolver = new Resolver(async () => {
    asked += 1;
    throw new Error("ENOTFOUND");
  });
  await expect(resolver.resolve("a")).rejects.toThrow("ENOTFOUND");
  await expect(resolver.resolve("a")).rejects.toThrow("ENOTFOUND");
  expect(asked).toBe(2);
});

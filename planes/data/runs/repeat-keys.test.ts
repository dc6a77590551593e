import { type RunId, runNameFrom } from "@biplane/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RepeatKey } from "../store/key-rows.ts";
import { RepeatKeys } from "./repeat-keys.ts";

const run = { run: runNameFrom(Buffer.alloc(10)) } as unknown as RunId;
const lifetimeMs = 100;
const made = (name: string, createdAtMs: number): RepeatKey => ({ key: name, run, createdAtMs });

test("rule 2: memory never denies a key that is on disk, and knows what it was given", () => {
  const step = fc.record({ key: fc.integer({ min: 0, max: 30 }), afterMs: fc.integer({ min: 0, max: 20 }) });
  const steps = fc.array(fc.oneof(step, fc.constant("load" as const)), { maxLength: 80 });
  fc.assert(
    fc.property(steps, (all) => {
      const keys = new RepeatKeys(5);
      const disk = new Map<string, RepeatKey>();
      let now = 1_000;
      for (const each of all) {
        if (each === "load") {
          keys.load([...disk.values()].sort((a, b) => a.createdAtMs - b.createdAtMs).slice(-5));
          continue;
        }
        now += each.afterMs;
        const name = `key ${each.key}`;
        const onDisk = disk.get(name);
        const isRepeat = onDisk !== undefined && onDisk.createdAtMs > now - lifetimeMs;
        const found = keys.find(name, now - lifetimeMs);
        expect(isRepeat ? ["known", "unknown"] : ["absent", "unknown"]).toContain(found.kind);
        if (isRepeat) continue;
        disk.set(name, made(name, now));
        keys.add(made(name, now));
        expect(keys.find(name, now - lifetimeMs).kind).toBe("known");
      }
    }),
    { numRuns: 500 },
  );
});

test("keys that nobody had are absent without a question, until some were left out, and again once those are too old", () => {
  const keys = new RepeatKeys(2);
  expect(keys.find("new", 0)).toEqual({ kind: "absent" });
  for (const [index, name] of ["a", "b", "c"].entries()) keys.add(made(name, 10 + index));
  expect(keys.find("new", 0)).toEqual({ kind: "unknown" });
  expect(keys.find("new", 10)).toEqual({ kind: "absent" });
});

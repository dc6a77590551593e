/** Keys rotate: the new one signs, the old one verifies until its tokens have expired, also over restarts. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKey } from "@biplane/kit/crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSigningKeys } from "./signing-keys.ts";

let folder: string;
let now = 1_000_000;
const clock = { now: () => now };
const root = newKey();
const minute = 60_000;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "signing-keys-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("after a rotation the new key signs and the old one verifies, also after a restart", async () => {
  const path = join(folder, "rotated");
  const keys = await openSigningKeys(path, root, clock);
  const [before, control] = [keys.authority, keys.control];
  await keys.rotate();
  expect(keys.authority.kid).not.toBe(before.kid);
  // The control plane pinned it at enrollment.
  expect(keys.control).toBe(control);
  const again = await openSigningKeys(path, root, clock);
  expect(again.authority.kid).toBe(keys.authority.kid);
  expect(again.find("authority", before.kid)?.publicJwk).toEqual(before.publicJwk);
  expect(again.cookieSecret).toBe(keys.cookieSecret);
});

test("an old key verifies until its last token has expired, and not longer", async () => {
  const keys = await openSigningKeys(join(folder, "expiring"), root, clock);
  const old = keys.authority.kid;
  await keys.rotate();
  now += 15 * minute;
  expect(keys.find("authority", old)).toBeDefined();
  now += 6 * minute;
  expect(keys.find("authority", old)).toBeUndefined();
});

test("keys rotate by themselves after ninety days", async () => {
  const keys = await openSigningKeys(join(folder, "scheduled"), root, clock);
  const first = keys.authority.kid;
  expect(await keys.rotateIfDue()).toBe(false);
  now += 91 * 24 * 60 * minute;
  expect(await keys.rotateIfDue()).toBe(true);
  expect(keys.authority.kid).not.toBe(first);
});

test("a key of another use is not found under its own name", async () => {
  const keys = await openSigningKeys(join(folder, "uses"), root, clock);
  expect(keys.find("task", keys.authority.kid)).toBeUndefined();
  expect(keys.find("authority", keys.authority.kid)).toBe(keys.authority);
});

import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newKey } from "@biplane/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileKeyProvider } from "./file-provider.ts";
import { ProjectKeys } from "./project-keys.ts";

let folder: string;
let nowMs = 0;
const systemKey = newKey();
const clock = { now: () => nowMs };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-project-keys-"));
  nowMs = 1_000_000;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function openKeys() {
  const provider = await FileKeyProvider.open(join(folder, "customer"));
  const keys = await ProjectKeys.open({ folder: join(folder, "registry"), systemKey, provider, clock });
  return { provider, keys };
}

const customerKey = (version: number) => join(folder, "customer", `customer-${version}.key`);

test("each project has a key of its own, and gets it again after a restart", async () => {
  const first = await openKeys();
  const [flights, again, weather] = await Promise.all([
    first.keys.current("acme/flights"),
    first.keys.current("acme/flights"),
    first.keys.current("acme/weather"),
  ]);
  expect(again.id).toBe(flights.id);
  expect(weather.key.reveal()).not.toEqual(flights.key.reveal());
  await first.keys.close();
  const second = await openKeys();
  expect((await second.keys.current("acme/flights")).key.reveal()).toEqual(flights.key.reveal());
  expect((await second.keys.current("acme/third")).id).not.toBe(weather.id);
  await second.keys.close();
});

test("a disabled customer key refuses within a second, and enabling it brings the data back (claim CMK-1)", async () => {
  const { keys } = await openKeys();
  const { id, key } = await keys.current("acme/flights");
  await rename(customerKey(1), join(folder, "away"));
  nowMs += 999;
  await expect(keys.get(id)).resolves.toBeDefined();
  nowMs += 2;
  await expect(keys.get(id)).rejects.toMatchObject({ reason: "key_disabled" });
  await expect(keys.current("acme/flights")).rejects.toMatchObject({ reason: "key_disabled" });
  await rename(join(folder, "away"), customerKey(1));
  expect((await keys.get(id)).reveal()).toEqual(key.reveal());
  await keys.close();
});

test("rotation gives new data a new key; old keys read until their version is destroyed (claim CMK-2)", async () => {
  const { provider, keys } = await openKeys();
  const old = await keys.current("acme/flights");
  expect(await provider.rotate("customer")).toEqual({ key: "customer", version: "2" });
  nowMs += 1_001;
  const fresh = await keys.current("acme/flights");
  expect(fresh.id).not.toBe(old.id);
  await expect(keys.get(old.id)).resolves.toBeDefined();
  await rm(customerKey(1));
  nowMs += 1_001;
  await expect(keys.get(old.id)).rejects.toMatchObject({ reason: "key_disabled" });
  await expect(keys.get(fresh.id)).resolves.toBeDefined();
  await keys.close();
});

test("a provider that throws leaves no key usable after its second", async () => {
  const { keys, provider } = await openKeys();
  const { id } = await keys.current("acme/flights");
  provider.unwrap = () => Promise.reject(new Error("unreachable"));
  nowMs += 1_001;
  await expect(keys.get(id)).rejects.toThrow();
  nowMs -= 1_001;
  await expect(keys.get(id)).rejects.toThrow();
  await keys.close();
});

test("the registry on disk opens only with the system key", async () => {
  const { keys, provider } = await openKeys();
  await keys.current("acme/flights");
  await keys.close();
  expect(await readdir(join(folder, "registry"))).toHaveLength(1);
  const opening = ProjectKeys.open({
    folder: join(folder, "registry"),
    systemKey: newKey(),
    provider,
    clock,
  });
  await expect(opening).rejects.toThrow(/damaged/);
});

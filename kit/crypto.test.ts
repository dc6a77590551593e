import { chmod, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { isBiplaneError } from "@biplane/base";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  createKeyFile,
  deriveKey,
  newKey,
  openColumn,
  openRecord,
  readKeyFile,
  readOrCreateKeyFile,
  sealColumn,
  sealRecord,
} from "./crypto.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-keys-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a key file is readable by its owner alone, and gives the same key again (claim CMK-3)", async () => {
  const path = join(folder, "root.key");
  const created = await createKeyFile(path);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await readKeyFile(path)).reveal()).toEqual(created.reveal());
  expect((await readOrCreateKeyFile(path)).reveal()).toEqual(created.reveal());
  expect(inspect(created)).not.toContain(Buffer.from(created.reveal()).toString("hex").slice(0, 8));
});

test("a key file that others may read is refused with the command that mends it", async () => {
  const path = join(folder, "root.key");
  await createKeyFile(path);
  await chmod(path, 0o640);
  await expect(readKeyFile(path)).rejects.toThrow(`chmod 600 ${path}`);
  await chmod(path, 0o600);
  await expect(readKeyFile(path)).resolves.toBeDefined();
});

test("a key is never replaced, never followed through a link, and a missing one is named", async () => {
  const path = join(folder, "root.key");
  await expect(readKeyFile(path)).rejects.toThrow(/missing/);
  await createKeyFile(path);
  await expect(createKeyFile(path)).rejects.toThrow(/already/);
  await symlink(path, join(folder, "link.key"));
  await expect(readKeyFile(join(folder, "link.key"))).rejects.toThrow(/ELOOP/);
});

test("keys of different purposes differ, and of the same purpose agree", () => {
  const root = newKey();
  expect(deriveKey(root, "audit").reveal()).toEqual(deriveKey(root, "audit").reveal());
  expect(deriveKey(root, "audit").reveal()).not.toEqual(deriveKey(root, "ledger").reveal());
  expect(deriveKey(root, "audit").reveal()).not.toEqual(deriveKey(newKey(), "audit").reveal());
});

test("a sealed record opens in its place with its key, and nowhere else (claim REST-1)", () => {
  const key = newKey();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.string(), (plaintext, place, other) => {
      const sealed = sealRecord(key, place, plaintext);
      expect(openRecord(key, place, sealed)).toEqual(plaintext);
      expect(() => openRecord(newKey(), place, sealed)).toThrow(/can't be decrypted/);
      if (other !== place) expect(() => openRecord(key, other, sealed)).toThrow(/can't be decrypted/);
    }),
  );
});

test("any changed or missing byte of a sealed record is noticed", () => {
  const key = newKey();
  const sealed = sealRecord(key, "place", Buffer.from("the plaintext"));
  for (let index = 0; index < sealed.length; index += 1) {
    const changed = Uint8Array.from(sealed);
    changed[index] = changed[index]! ^ 1;
    expect(() => openRecord(key, "place", changed)).toThrow();
    expect(() => openRecord(key, "place", sealed.subarray(0, index))).toThrow();
  }
});

test("a column's value moved to another row or column does not open", () => {
  const key = newKey();
  const place = { org: "acme", table: "project", column: "description", row: "flights" };
  const sealed = sealColumn(key, place, Buffer.from("text"));
  expect(Buffer.from(openColumn(key, place, sealed)).toString()).toBe("text");
  for (const moved of [{ org: "other" }, { table: "task" }, { column: "labels" }, { row: "weather" }]) {
    let failure: unknown;
    try {
      openColumn(key, { ...place, ...moved }, sealed);
    } catch (error) {
      failure = error;
    }
    expect(isBiplaneError(failure, "data_loss")).toBe(true);
  }
});

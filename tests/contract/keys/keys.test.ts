/** Where the customer's keys live: the same behaviour from every provider (claims CMK-1, CMK-2, CMK-3). */
import { randomBytes } from "node:crypto";
import { type ProviderPlace, providerKinds } from "@biplane/verify/keys/providers";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openKeyProvider } from "../../../planes/data/keys/open-provider.ts";
import type { KeyProvider, WrappedKey } from "../../../planes/data/keys/types.ts";
import { describeWithTools } from "../../support/tools.ts";

for (const kind of providerKinds) {
  describeWithTools(`keys in ${kind.name}`, kind.tools, () => {
    let place: ProviderPlace;
    let provider: KeyProvider;
    let key = "";
    let count = 0;
    const before: Record<string, string | undefined> = {};
    const content = randomBytes(32);

    beforeAll(async () => {
      place = await kind.start();
      for (const [name, value] of Object.entries(place.environment)) {
        before[name] = process.env[name];
        process.env[name] = value;
      }
    });
    afterAll(async () => {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      await place.close();
    });
    beforeEach(async () => {
      provider = await openKeyProvider(place.config, place.folder);
      count += 1;
      key = `key-${count}`;
    });
    afterEach(() => provider.close());

    const wrap = async (name = key): Promise<WrappedKey> =>
      provider.wrap(await provider.create(name), content, "place");
    const unwrap = async (wrapped: WrappedKey) => Buffer.from(await provider.unwrap(wrapped, "place"));

    test("what it wrapped it unwraps, after a restart too, and at its place only", async () => {
      const wrapped = await wrap();
      expect(Buffer.from(wrapped.wrapped).includes(content)).toBe(false);
      expect(await unwrap(wrapped)).toEqual(content);
      await provider.close();
      provider = await openKeyProvider(place.config, place.folder);
      expect(await unwrap(wrapped)).toEqual(content);
      await expect(provider.unwrap(wrapped, "elsewhere")).rejects.toMatchObject({ code: "data_loss" });
    });

    test("a changed byte is refused", async () => {
      const wrapped = await wrap();
      const changed = Buffer.from(wrapped.wrapped);
      changed[changed.length - 1] = changed.at(-1)! ^ 1;
      await expect(unwrap({ ...wrapped, wrapped: changed })).rejects.toMatchObject({ code: "data_loss" });
    });

    test("the same version stays current until the key is rotated", async () => {
      await expect(provider.currentVersion(key)).rejects.toMatchObject({ reason: "key_disabled" });
      const [first, again] = await Promise.all([provider.create(key), provider.create(key)]);
      expect(again).toEqual(first);
      const rotated = await provider.rotate(key);
      expect(rotated).not.toEqual(first);
      expect(await provider.currentVersion(key)).toEqual(rotated);
    });

    test("disabled, it refuses in its own words, and other keys work; enabled, all is back (claim CMK-1)", async () => {
      const [wrapped, other] = [await wrap(), await wrap(`${key}-other`)];
      await provider.disable(wrapped);
      expect(await provider.stateOf(wrapped)).toBe("disabled");
      const refusal = {
        code: "failed_precondition",
        reason: "key_disabled",
        message: expect.stringMatching(kind.saysDisabled),
      };
      await expect(unwrap(wrapped)).rejects.toMatchObject(refusal);
      await expect(wrap()).rejects.toMatchObject({ reason: "key_disabled" });
      expect(await unwrap(other)).toEqual(content);
      await provider.disable(wrapped);
      await provider.enable(wrapped);
      expect(await provider.stateOf(wrapped)).toBe("enabled");
      expect(await unwrap(wrapped)).toEqual(content);
    });

    test("rotated, it still unwraps what is old; a destroyed version takes just its own with it (claim CMK-2)", async () => {
      const old = await wrap();
      await provider.rotate(key);
      const fresh = await wrap();
      expect(fresh.version).not.toBe(old.version);
      expect(await unwrap(old)).toEqual(content);
      await provider.destroy(old);
      expect(await provider.stateOf(old)).toBe("destroyed");
      await expect(unwrap(old)).rejects.toMatchObject({ reason: "key_disabled" });
      expect(await unwrap(fresh)).toEqual(content);
    });

    test("a version that never was can be neither disabled nor destroyed", async () => {
      await provider.create(key);
      const unknown = {
        key,
        version: kind.name.startsWith("AWS") ? "00000000-0000-0000-0000-000000000000" : "77",
      };
      await expect(provider.disable(unknown)).rejects.toMatchObject({ code: "not_found" });
      await expect(provider.destroy(unknown)).rejects.toMatchObject({ code: "not_found" });
    });

    test("names that are no names are refused before the provider hears of them", async () => {
      for (const name of ["", "../customer", "UPPER", "a/b", "x".repeat(64), "a\0b"]) {
        await expect(provider.currentVersion(name)).rejects.toMatchObject({ code: "invalid_argument" });
      }
    });

    // The last one: it may leave the place unusable.
    test("withheld, it fails closed (claim CMK-3)", async () => {
      const wrapped = await wrap();
      const withheld = await openKeyProvider(await kind.withheld(place), place.folder);
      await expect(withheld.unwrap(wrapped, "place")).rejects.toMatchObject({ code: "failed_precondition" });
      await withheld.close();
    });
  });
}

/** Profiles and credentials on a person's machine. */
import { mkdtempSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRootAuthority, fingerprint } from "@biplane/kit/certificates";
import { expect, test } from "vitest";
import { ConfigStore } from "./config-store.ts";
import { type Profile, parseProfile } from "./profile.ts";

async function profile(): Promise<Profile> {
  const { certificatePem } = await createRootAuthority("acme", 3_600_000);
  return {
    version: 1,
    org: "acme",
    cluster: "home",
    router: "https://localhost:8443",
    authority: "https://localhost:8444",
    objects: "https://localhost:8445",
    bucket: "biplane",
    region: "local",
    rootPem: certificatePem,
    rootFingerprint: fingerprint(certificatePem),
    publicClientId: "biplane-cli",
  };
}

function newStore(): ConfigStore {
  return new ConfigStore(join(mkdtempSync(join(tmpdir(), "biplane-config-")), "biplane"));
}

test("what was saved is found again, credentials in a file for their owner alone", async () => {
  const store = newStore();
  const saved = await profile();
  await store.update(() => ({ current: "work", profiles: { work: { profile: saved, project: "p" } } }));
  await store.saveCredentials("work", { kind: "client", clientId: "id", clientSecret: "secret" });
  expect(await store.entry(undefined)).toMatchObject({
    name: "work",
    entry: { project: "p", profile: saved },
  });
  expect(await store.credentials("work")).toMatchObject({ clientId: "id" });
  expect(statSync(join(store.folder, "credentials.json")).mode & 0o777).toBe(0o600);
  expect(statSync(store.folder).mode & 0o777).toBe(0o700);
  expect(readFileSync(join(store.folder, "config.json"), "utf8")).not.toContain("secret");
});

test("credentials of one profile are removed without touching another's", async () => {
  const store = newStore();
  await store.saveCredentials("a", { kind: "client", clientId: "a", clientSecret: "1" });
  await store.saveCredentials("b", { kind: "client", clientId: "b", clientSecret: "2" });
  await store.saveCredentials("a", undefined);
  expect(await store.credentials("a")).toBeUndefined();
  expect(await store.credentials("b")).toMatchObject({ clientId: "b" });
});

test("two renewals at the same time come one after the other, the second seeing the first one's result", async () => {
  const store = newStore();
  const token = (value: string) => ({ kind: "user" as const, accessToken: value, expiresAtMs: 1 });
  await store.saveCredentials("a", token("0"));
  const seen: string[] = [];
  const renew = (next: string) =>
    new ConfigStore(store.folder).renewCredentials("a", async (present) => {
      seen.push(present?.kind === "user" ? present.accessToken : "none");
      await new Promise((resolve) => setTimeout(resolve, 30));
      return token(next);
    });
  await Promise.all([renew("1"), renew("2")]);
  expect(seen[0]).toBe("0");
  expect(["1", "2"]).toContain(seen[1]);
});

test("a lock that a killed command left behind is no obstacle for ever", async () => {
  const store = newStore();
  await store.saveCredentials("a", { kind: "client", clientId: "a", clientSecret: "1" });
  const lock = join(store.folder, "credentials.lock");
  writeFileSync(lock, "");
  utimesSync(lock, new Date(0), new Date(0));
  await store.saveCredentials("a", undefined);
  expect(await store.credentials("a")).toBeUndefined();
});

test("an unknown profile is refused with the known ones and what to do", async () => {
  const store = newStore();
  await expect(store.entry(undefined)).rejects.toThrow("biplane login");
  const known = await profile();
  await store.update(() => ({ profiles: { work: { profile: known } } }));
  await expect(store.entry("home")).rejects.toThrow("This machine knows: work.");
});

test("a damaged file is named, never overwritten", async () => {
  const store = newStore();
  await store.saveCredentials("a", { kind: "client", clientId: "a", clientSecret: "1" });
  writeFileSync(join(store.folder, "credentials.json"), "{ half");
  await expect(store.saveCredentials("b", undefined)).rejects.toThrow("credentials.json");
  expect(readFileSync(join(store.folder, "credentials.json"), "utf8")).toBe("{ half");
});

test.for([
  ["no JSON", "half"],
  ["another version", JSON.stringify({ version: 2 })],
  ["an address without TLS", undefined],
] as const)("a profile with %s is refused", async ([, text]) => {
  const insecure = JSON.stringify({ ...(await profile()), router: "http://localhost:1" });
  expect(() => parseProfile(text ?? insecure, "profile.json")).toThrow(
    "profile.json is not a usable profile",
  );
});

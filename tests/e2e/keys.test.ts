/**
 * The customer's key is the last gate (claims CMK-1, CMK-3): disabled at its provider, everything beneath is unreadable
 * within a second, whoever asks and by whatever way; enabled again, all is back.
 */
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Secret } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { connect, type RemoteClient, type RemoteRun } from "@biplane/sdk/remote/client";
import { type ProviderPlace, providerKinds } from "@biplane/verify/keys/providers";
import { download, startDownload } from "@biplane/verify/wire/downloads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openKeyProvider } from "../../planes/data/keys/open-provider.ts";
import type { KeyProvider, KeyVersion } from "../../planes/data/keys/types.ts";
import { describeWithTools } from "../support/tools.ts";
import { requestToken } from "./sign-in.ts";
import { domain, project, type System, startSystem } from "./system.ts";

const reports = resolve(import.meta.dirname, "../../verify/workflows/reports.ts");
const otherProject = "weather";
const otherKey = "weather-key";
const reportMebibytes = 48;
/** What the provider reports counts after a second at the latest. */
const secondAndABit = 1_100;

for (const kind of providerKinds) {
  describeWithTools(`with the customer's key in ${kind.name}`, kind.tools, () => {
    let place: ProviderPlace;
    let system: System;
    let provider: KeyProvider;
    let client: RemoteClient;
    let other: RemoteClient;
    let run: RemoteRun;
    let failed: RemoteRun;
    let otherRun: RemoteRun;
    let key: KeyVersion;

    beforeAll(async () => {
      place = await kind.start();
      Object.assign(process.env, place.environment);
      system = await startSystem({ keys: place.config, environment: { ...place.environment } });
      // The customer's own hand at the provider, beside the plane.
      const folder = place.config.kind === "file" ? system.customerKeysFolder : place.folder;
      provider = await openKeyProvider(place.config, folder);
      client = await system.connect();
      const { projects, keys } = client.connection;
      await projects.createProject({ project: { id: otherProject, name: "Weather", org: "acme" } });
      await keys.assignKey({ project: otherProject, key: otherKey });
      other = await connect({
        profile: system.profilePath,
        project: otherProject,
        domain,
        clientId: system.client.id,
        clientSecret: new Secret(system.client.secret),
      });
      run = await finished(client);
      failed = await client.run({ file: reports, task: "fails" }, {});
      expect(await failed.wait()).toMatchObject({
        succeeded: false,
        error: expect.stringContaining("why it failed"),
      });
      otherRun = await finished(other);
      key = await provider.currentVersion("customer");
    });
    afterAll(async () => {
      await provider?.close();
      await system?.close();
      await place?.close();
      for (const name of Object.keys(place?.environment ?? {})) delete process.env[name];
    });

    async function finished(by: RemoteClient, mebibytes = reportMebibytes): Promise<RemoteRun> {
      const started = await by.run({ file: reports, task: "large-report" }, { mebibytes });
      expect(await started.wait()).toMatchObject({ succeeded: true });
      return started;
    }

    async function reportLink(of: RemoteRun): Promise<string> {
      const { preSignedUrls } = await client.connection.data.createDownloadLink({
        artifactType: flyte.dataproxy.ArtifactType.REPORT,
        source: { case: "actionAttemptId", value: { actionId: { run: of.id, name: "a0" }, attempt: 1 } },
      });
      return preSignedUrls!.signedUrl[0]!;
    }

    const linesOf = async (of: RemoteRun) => {
      const lines: string[] = [];
      for await (const { text } of of.logs()) lines.push(text);
      return lines;
    };
    const fetchReport = (url: string) => download(url, system.profile.rootPem);

    test("disabled, the same URL, a fresh one and every RPC fail, and an open download stops; enabled, all is back", async () => {
      const url = await reportLink(run);
      expect(await fetchReport(url)).toMatchObject({ status: 200, bytes: reportMebibytes * 1024 * 1024 });

      const open = await startDownload(url, system.profile.rootPem);
      await provider.disable(key);
      await delay(secondAndABit);
      for (const link of [url, await reportLink(run)]) {
        const refused = await fetchReport(link);
        expect(refused.status).toBe(400);
        expect(refused.text).toContain("<Code>KMS.DisabledException</Code>");
      }
      await expect(run.outputs()).rejects.toThrow(kind.saysDisabled);
      await expect(linesOf(run)).rejects.toThrow(/key that protects/);
      await expect(open.rest()).rejects.toThrow();
      // What was submitted and what was said of a failure lie in the database, under the same key.
      await expect(run.details()).rejects.toThrow(/key that protects/);
      await expect(failed.details()).rejects.toThrow(/key that protects/);
      await expect(client.run({ file: reports, task: "fails" }, {})).rejects.toThrow(/refused/);
      const names = await client.list();
      expect(names.map(({ name }) => name)).toEqual(expect.arrayContaining([run.id.name, failed.id.name]));

      // The plane itself goes on: others' data, sign-in, policy and the record of all this.
      expect(await fetchReport(await reportLink(otherRun))).toMatchObject({ status: 200 });
      expect(await otherRun.outputs()).toBe("done");
      expect(await otherRun.details()).toMatchObject({ status: { phase: 5 } });
      expect(await linesOf(otherRun)).toEqual(["a line of the log"]);
      await expect(requestToken(system.profile, system.client)).resolves.toMatch(/^ey/);
      const listed = await client.connection.keys.listKeys({});
      expect(listed.keys.find(({ version }) => version?.key === "customer")).toMatchObject({
        projects: [project],
      });

      await provider.enable(key);
      await delay(secondAndABit);
      expect(await fetchReport(url)).toMatchObject({ status: 200, bytes: reportMebibytes * 1024 * 1024 });
      expect(await run.outputs()).toBe("done");
      expect(await linesOf(run)).toEqual(["a line of the log"]);
      expect(await failed.wait()).toMatchObject({ error: expect.stringContaining("why it failed") });
    }, 120_000);

    test("the plane starts with the key disabled, signs people in, and reads again once it is enabled", async () => {
      await provider.disable(key);
      await system.data.stop();
      await system.data.start();
      await expect(requestToken(system.profile, system.client)).resolves.toMatch(/^ey/);
      await expect(run.outputs()).rejects.toThrow(/key that protects/);
      await provider.enable(key);
      await delay(secondAndABit);
      expect(await run.outputs()).toBe("done");
    }, 120_000);

    test("rotated by the command line's own call, new data is under the new version and old data stays readable (claim CMK-2)", async () => {
      const { keys } = client.connection;
      const { version } = await keys.rotateKey({ key: "customer" });
      // With inputs of its own: the same ones would be the object that is there already, under the old version.
      const fresh = await finished(client, 1);
      await keys.disableKey({ version: key });
      await expect(run.outputs()).rejects.toThrow(/key that protects/);
      expect(await fresh.outputs()).toBe("done");
      await keys.enableKey({ version: key });
      expect(await run.outputs()).toBe("done");
      expect(
        (await keys.listKeys({})).keys.find((one) => one.current && one.version?.key === "customer"),
      ).toMatchObject({
        version: { version: version?.version },
      });
    }, 120_000);
  });
}

/** CMK-1: the customer's own key is the last gate. */
import { setTimeout as delay } from "node:timers/promises";
import type { RemoteRun } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import {
  currentVersion,
  disable,
  makeKeyProject,
  reportBytes,
  reportedRun,
  reportUrl,
  secondAndABitMs,
} from "../scenes/key-project.ts";
import { download, startDownload } from "../wire/downloads.ts";

export const cmk1: Claim = {
  id: "CMK-1",
  text: "The customer's own key is the last gate: disabling it makes every object, secret and log unreadable, however valid the presigned URL.",
  from: "client",

  async prove(subject, seen) {
    const { rootPem } = subject.connection.profile;
    const [own, other] = [await makeKeyProject(subject), await makeKeyProject(subject)];
    const [run, otherRun] = [await reportedRun(own.client), await reportedRun(other.client, 1)];
    const url = await reportUrl(own.client, run);
    const first = await download(url, rootPem);
    seen.holds(
      "fetched a report by its presigned URL",
      first.bytes === reportBytes,
      `HTTP ${first.status}, ${first.bytes} bytes`,
    );
    const open = await startDownload(url, rootPem);
    const version = await currentVersion(own);
    const enable = await disable(subject, own, version);
    await delay(secondAndABitMs);
    for (const [what, link] of [
      ["the same URL", url],
      ["a fresh one", await reportUrl(own.client, run)],
    ] as const) {
      const { status, text } = await download(link, rootPem);
      const code = /<Code>([^<]+)</.exec(text)?.[1] ?? "";
      seen.holds(
        `disabled its key, and a second later fetched ${what}`,
        status >= 400 && code.startsWith("KMS."),
        `HTTP ${status}, ${code}`,
      );
    }
    seen.holds("read on from a download that was open", await fails(() => open.rest()), "it had stopped");
    seen.holds(
      "asked for the run's outputs and log lines",
      (await fails(() => run.outputs())) && (await fails(() => linesOf(run))),
      "both were refused",
    );
    const reachable = await download(await reportUrl(other.client, otherRun), rootPem);
    seen.holds(
      "fetched another project's report meanwhile",
      reachable.status === 200,
      `HTTP ${reachable.status}`,
    );
    const token = await subject.connection.tokens.token(true);
    const { subject: who } = await subject.connection.identity.userInfo({});
    seen.holds("signed in meanwhile, and asked who that is", token !== "" && who !== "", "both worked");
    await enable();
    await delay(secondAndABitMs);
    const back = await download(url, rootPem);
    seen.holds(
      "enabled it again and fetched the first URL",
      back.bytes === reportBytes,
      `HTTP ${back.status}, ${back.bytes} bytes`,
    );
  },

  async control(subject, seen) {
    const [own, other] = [await makeKeyProject(subject), await makeKeyProject(subject)];
    const [run, otherRun] = [await reportedRun(own.client, 1), await reportedRun(other.client, 1)];
    const enable = await disable(subject, own, await currentVersion(own));
    await delay(secondAndABitMs);
    const { rootPem } = subject.connection.profile;
    const readable: string[] = [];
    for (const [name, client, of] of [
      ["under the disabled key", own.client, run],
      ["under another key", other.client, otherRun],
    ] as const) {
      const { status } = await download(await reportUrl(client, of), rootPem);
      if (status === 200) readable.push(`the object ${name} is readable`);
    }
    await enable();
    const isDisabledReadable = readable.some((one) => one.includes("disabled"));
    return (
      seen.caught(
        "an object that no disabled key protects, fetched in the same way",
        readable,
        /another key/,
      ) && !isDisabledReadable
    );
  },
};

async function fails(work: () => Promise<unknown>): Promise<boolean> {
  return work().then(
    () => false,
    () => true,
  );
}

async function linesOf(run: RemoteRun): Promise<number> {
  let count = 0;
  for await (const _line of run.logs()) count += 1;
  return count;
}

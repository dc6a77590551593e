/** FLOW-2: a presigned URL is HTTPS, for one object and one method, and ends. */
import { createHash } from "node:crypto";
import { hour, second } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { sleep } from "@biplane/kit/backoff";
import { requireProject } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { fetchLink, fetchPlain } from "../wire/links.ts";

const content = Buffer.from("what the upload's URL is good for");

export const flow2: Claim = {
  id: "FLOW-2",
  text: "Every presigned URL is HTTPS, one object, one method, and expires (default 1 hour, maximum set by the operator, shorter on request).",
  from: "client",

  async prove(subject, seen) {
    const { http } = subject.connection;
    const download = await reportLink(subject);
    const { url: upload, otherUrl } = await uploadLinks(subject);
    seen.none(
      "ways to use a download's URL for more than it was signed for",
      await misuses(subject, download),
    );
    const statuses = [
      ["the object's neighbour written with the upload's URL", await put(subject, moved(upload, otherUrl))],
      ["other bytes written with it", await put(subject, upload, Buffer.from("x".repeat(content.length)))],
      ["the upload read with it", (await fetchLink(http, upload)).status],
    ] as const;
    seen.none(
      "ways to use an upload's URL for more than it was signed for",
      statuses.flatMap(([what, status]) => (isRefused(status) ? [] : [`${what}: HTTP ${status}`])),
    );
    const status = await put(subject, upload);
    seen.holds("the upload's URL used as it was signed", status === 200, `HTTP ${status}`);
    await judgeLifetimes(subject, seen.holds.bind(seen));
  },

  async control(subject, seen) {
    const { status } = await fetchLink(subject.connection.http, await reportLink(subject));
    const found = isRefused(status) ? [] : [`the untouched URL answered HTTP ${status}`];
    return seen.caught("the untouched URL, judged as if it were a misuse", found, /untouched/);
  },
};

/** 400 where another method or digest makes it a request of another kind; 403 where the signature does not fit. */
function isRefused(status: number): boolean {
  return status === 403 || status === 400;
}

async function reportLink(subject: Subject, lifetimeMs?: number): Promise<string> {
  const { run } = await subject.scene(plantedRun);
  const { preSignedUrls } = await subject.connection.data.createDownloadLink({
    artifactType: flyte.dataproxy.ArtifactType.REPORT,
    source: { case: "actionAttemptId", value: { actionId: { run: run.id, name: "a0" }, attempt: 1 } },
    ...(lifetimeMs === undefined ? {} : { expiresIn: { seconds: BigInt(lifetimeMs / second), nanos: 0 } }),
  });
  return preSignedUrls?.signedUrl[0] ?? "";
}

/** What was let through that should not have been. */
async function misuses(subject: Subject, url: string): Promise<string[]> {
  const { http } = subject.connection;
  const changed = (name: string, value: string) => {
    const other = new URL(url);
    other.searchParams.set(name, value);
    return other.href;
  };
  const tries = [
    ["another object read", moved(url, url.replace("report.html", "outputs.pb")), "GET"],
    ["the object written", url, "PUT"],
    ["the object deleted", url, "DELETE"],
    ["a longer lifetime written into it", changed("X-Amz-Expires", "604800"), "GET"],
    ["another way of being shown written into it", changed("response-content-type", "text/html"), "GET"],
    ["another signature", changed("X-Amz-Signature", "0".repeat(64)), "GET"],
    ["another date", changed("X-Amz-Date", "20200101T000000Z"), "GET"],
  ] as const;
  const found: string[] = [];
  for (const [what, target, method] of tries) {
    const { status } = await fetchLink(http, target, method, method === "PUT" ? content : undefined);
    if (!isRefused(status)) found.push(`${what}: HTTP ${status}`);
  }
  const plain = await fetchPlain(url);
  return typeof plain === "number" && plain < 400 ? [...found, `plain HTTP: HTTP ${plain}`] : found;
}

/** The same signature at another object's address. */
function moved(url: string, to: string): string {
  const other = new URL(url);
  other.pathname = new URL(to).pathname;
  return other.href;
}

async function uploadLinks({ connection }: Subject): Promise<{ url: string; otherUrl: string }> {
  const { profile, domain, data } = connection;
  const link = async (filename: string) =>
    data.createUploadLocation({
      org: profile.org,
      project: requireProject(connection),
      domain,
      filename,
      contentMd5: createHash("md5").update(content).digest(),
      contentLength: BigInt(content.length),
    });
  const name = Date.now().toString(36);
  const [one, other] = [await link(`flow-2-${name}.txt`), await link(`flow-2-${name}-other.txt`)];
  return { url: one.signedUrl, otherUrl: other.signedUrl };
}

async function put({ connection }: Subject, url: string, body: Uint8Array = content): Promise<number> {
  const response = await connection.http.send(url, {
    method: "PUT",
    headers: {
      "content-md5": createHash("md5").update(content).digest("base64"),
      "content-length": String(body.length),
    },
    body,
  });
  await connection.http.text(response);
  return response.status;
}

type Holds = (what: string, does: boolean, saw: string) => void;

async function judgeLifetimes(subject: Subject, holds: Holds): Promise<void> {
  const secondsOf = async (lifetimeMs?: number) =>
    Number(new URL(await reportLink(subject, lifetimeMs)).searchParams.get("X-Amz-Expires"));
  const usual = await secondsOf();
  holds("a URL asked for without a lifetime", usual === hour / second, `good for ${usual} s`);
  const long = await secondsOf(1_000 * hour);
  holds("a URL asked for with a lifetime of 1000 hours", long <= (24 * hour) / second, `good for ${long} s`);
  const short = await reportLink(subject, 2 * second);
  const fresh = await fetchLink(subject.connection.http, short);
  await sleep(3 * second);
  const stale = await fetchLink(subject.connection.http, short);
  const did = fresh.status === 200 && stale.status === 403;
  holds(
    "a URL asked for with 2 seconds, fetched at once and after 3",
    did,
    `HTTP ${fresh.status}, then HTTP ${stale.status}`,
  );
}

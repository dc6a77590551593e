import { createHash } from "node:crypto";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { hour, MiB, minute } from "@biplane/base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EmbeddedObjects } from "../index.ts";
import { type HttpsOptions, send } from "../testing/https.ts";
import { StoreHome } from "../testing/open-store.ts";
import { type ServedObjects, serveObjects } from "../testing/serve.ts";
import type { PresignOptions, StoreCredentials } from "../types.ts";
import {
  encodePath,
  encodeQuery,
  scopeText,
  signingKey,
  signRequest,
  timeText,
  unsignedPayload,
} from "./signature.ts";

let home: StoreHome;
let objects: EmbeddedObjects;
let served: ServedObjects;
let nowMs = 0;
const clock = { now: () => nowMs };
const key = "acme/flights/development/run1/a0/1/report.html";
const content = "<script>alert(1)</script>";

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  home = await StoreHome.create(clock);
  objects = await home.open();
  served = await serveObjects(objects);
  await objects.store.put(key, Buffer.from(content), { contentType: "text/html" });
});
afterEach(async () => {
  served.close();
  await home.remove();
});

function presign(options: Partial<PresignOptions> = {}): string {
  return served.grants.presign({ method: "GET", key, lifetimeMs: hour, ...options }).reveal();
}

function fetchUrl(url: string, options: Omit<HttpsOptions, "authorityPem"> = {}) {
  return send(url, { ...options, authorityPem: served.authorityPem });
}

/** Signs a request with session credentials in its headers, as an SDK does. */
function fetchSigned(
  credentials: StoreCredentials,
  path: string,
  options: {
    method?: string;
    query?: [string, string][];
    body?: string;
    headers?: Record<string, string>;
  } = {},
) {
  const method = options.method ?? "GET";
  const body = options.body ?? "";
  const time = timeText(nowMs);
  const scope = { date: time.slice(0, 8), region: "us-east-1" };
  const payloadHash = createHash("sha256").update(body).digest("hex");
  const headers: Record<string, string> = {
    host: new URL(served.endpoint).host,
    "x-amz-content-sha256": payloadHash,
    "x-amz-date": time,
    "x-amz-security-token": credentials.sessionToken.reveal(),
    ...options.headers,
  };
  const names = Object.keys(headers).sort();
  const query = options.query ?? [];
  const signature = signRequest(signingKey(credentials.secretAccessKey.reveal(), scope), time, scope, {
    method,
    path,
    query,
    headers: names.map((name) => [name, headers[name]!] as const),
    payloadHash,
  });
  const credential = `${credentials.accessKeyId}/${scopeText(scope)}`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  const url = `${served.endpoint}${encodePath(path)}${query.length > 0 ? `?${encodeQuery(query)}` : ""}`;
  return fetchUrl(url, {
    method,
    body,
    headers: { ...headers, authorization, "content-length": Buffer.byteLength(body) },
  });
}

describe("a presigned URL (claim FLOW-2)", () => {
  test("opens its object with its method", async () => {
    const answer = await fetchUrl(presign());
    expect(answer).toMatchObject({ status: 200 });
    expect(String(answer.body)).toBe(content);
    const put = presign({ method: "PUT", key: `${key}.new` });
    expect(
      await fetchUrl(put, { method: "PUT", body: "new", headers: { "content-length": 3 } }),
    ).toMatchObject({
      status: 200,
    });
    expect(Buffer.from((await objects.store.read(`${key}.new`, 10))!).toString()).toBe("new");
  });

  test("opens no other object and no other method", async () => {
    await objects.store.put(`${key}2`, Buffer.from("other"));
    const url = presign();
    expect(await fetchUrl(url.replace("report.html", "report.html2"))).toMatchObject({
      status: 403,
      code: "SignatureDoesNotMatch",
    });
    for (const method of ["PUT", "DELETE", "POST", "HEAD"]) {
      expect(await fetchUrl(url, { method, headers: { "content-length": 0 } })).toMatchObject({
        status: 403,
      });
    }
    expect(await objects.store.head(key)).toBeDefined();
  });

  test("is refused with 403 when anything of it was altered", async () => {
    const url = new URL(presign());
    for (const name of url.searchParams.keys()) {
      const altered = new URL(url);
      const value = altered.searchParams.get(name)!;
      altered.searchParams.set(
        name,
        value.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
      );
      const { status } = await fetchUrl(altered.href);
      expect([name, status]).toEqual([name, 403]);
    }
    for (const more of ["&response-content-disposition=inline", "&x=1", "&partNumber=1"]) {
      expect(await fetchUrl(url.href + more)).toMatchObject({ status: 403, code: "SignatureDoesNotMatch" });
    }
    expect(await fetchUrl(url.href, { headers: { host: "elsewhere" } })).toMatchObject({ status: 403 });
    expect(await fetchUrl(url.href, { headers: { "x-amz-meta-added": "1" } })).toMatchObject({ status: 403 });
    expect(await fetchUrl(url.href)).toMatchObject({ status: 200 });
  });

  test("ends with its time, to the second, and can't be made for more than 12 hours", async () => {
    const url = presign({ lifetimeMs: 10 * minute });
    nowMs += 10 * minute - 1_000;
    expect(await fetchUrl(url)).toMatchObject({ status: 200 });
    nowMs += 1_000;
    const late = await fetchUrl(url);
    expect(late).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(String(late.body)).toContain("expired");
    expect(() => presign({ lifetimeMs: 12 * hour })).not.toThrow();
    expect(() => presign({ lifetimeMs: 12 * hour + 1 })).toThrow(/12 hours/);
    expect(() => presign({ lifetimeMs: 0 })).toThrow();
  });

  test("is of no use without TLS", async () => {
    await expect(fetchUrl(presign().replace("https:", "http:"))).rejects.toThrow();
  });

  test("with signed headers takes exactly these", async () => {
    const digest = (text: string) => createHash("md5").update(text).digest("base64");
    const headers = { "content-md5": digest("the bundle") };
    const url = presign({ method: "PUT", key: "acme/flights/development/uploads/x/b.tgz", headers });
    const put = (body: string, more: Record<string, string>) =>
      fetchUrl(url, { method: "PUT", body, headers: { "content-length": Buffer.byteLength(body), ...more } });
    expect(await put("the bundle", {})).toMatchObject({ status: 403 });
    expect(await put("another one", { "content-md5": digest("another one") })).toMatchObject({ status: 403 });
    expect(await put("another one", headers)).toMatchObject({ status: 400, code: "BadDigest" });
    expect(await put("the bundle", headers)).toMatchObject({ status: 200 });
    expect(await put("the bundle", headers)).toMatchObject({ status: 200 });
  });

  test("downloads, and never runs as a page of ours, unless it was signed to be shown", async () => {
    const download = await fetchUrl(presign());
    expect(download.headers).toMatchObject({
      "content-disposition": "attachment",
      "content-security-policy": expect.stringMatching(/^sandbox; default-src 'none';/),
      "x-content-type-options": "nosniff",
    });
    const shown = await fetchUrl(presign({ disposition: "inline" }));
    expect(shown.headers).toMatchObject({
      "content-disposition": "inline",
      "content-type": "text/html",
      "content-security-policy": expect.stringMatching(/^sandbox; default-src 'none';/),
      "x-content-type-options": "nosniff",
    });
  });

  test("opens nothing while the customer's key is disabled, and again afterwards (claim CMK-1)", async () => {
    const url = presign();
    const keyFile = join(home.customerKeysFolder, "customer-1.key");
    await rename(keyFile, `${home.folder}/away`);
    nowMs += 1_001;
    expect(await fetchUrl(url)).toMatchObject({ status: 400, code: "KMS.DisabledException" });
    expect(await fetchUrl(presign())).toMatchObject({ status: 400, code: "KMS.DisabledException" });
    await rename(`${home.folder}/away`, keyFile);
    expect(await fetchUrl(url)).toMatchObject({ status: 200 });
  });
});

describe("session credentials", () => {
  const readPrefixes = ["acme/flights/development/run1/", "acme/flights/development/uploads/"];
  const writePrefixes = ["acme/flights/development/run1/a0/", "acme/flights/development/uploads/"];
  const session = (lifetimeMs = hour) =>
    served.grants.sessionCredentials({ readPrefixes, writePrefixes, lifetimeMs });

  test("read and write below their prefixes and nowhere else (claim IAM-4)", async () => {
    await objects.store.put("acme/flights/development/run2/secret", Buffer.from("x"));
    await objects.store.put("acme/flights/development/run1/inputs", Buffer.from("x"));
    const credentials = session();
    const status = async (path: string, method = "GET", query: [string, string][] = []) =>
      (await fetchSigned(credentials, `/biplane/${path}`, { method, query })).status;
    expect(await status(key)).toBe(200);
    expect(await status(key, "PUT")).toBe(200);
    expect(await status("acme/flights/development/run1/inputs")).toBe(200);
    expect(await status("acme/flights/development/run1/inputs", "PUT")).toBe(403);
    expect(await status("acme/flights/development/run1/inputs", "DELETE")).toBe(403);
    for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
      expect(await status("acme/flights/development/run2/secret", method)).toBe(403);
      expect(await status("acme/flights/development/run2/none", method)).toBe(403);
    }
    expect(
      await status("", "GET", [
        ["list-type", "2"],
        ["prefix", "acme/flights/development/run1/"],
      ]),
    ).toBe(200);
    expect(
      await status("", "GET", [
        ["list-type", "2"],
        ["prefix", "acme/flights/"],
      ]),
    ).toBe(403);
    expect(await status("", "GET", [["list-type", "2"]])).toBe(403);
  });

  test("can't copy from where they may not read, nor delete what is written once", async () => {
    await objects.store.put("acme/flights/development/run2/secret", Buffer.from("x"));
    await objects.store.put("acme/flights/development/uploads/u/f", Buffer.from("x"));
    const credentials = session();
    const copy = (source: string) =>
      fetchSigned(credentials, `/biplane/${key}.copy`, {
        method: "PUT",
        headers: { "x-amz-copy-source": source },
      });
    expect(await copy("/biplane/acme/flights/development/run2/secret")).toMatchObject({ status: 403 });
    expect(await copy(`/biplane/${key}`)).toMatchObject({ status: 200 });
    const body = "<Delete><Object><Key>acme/flights/development/uploads/u/f</Key></Object></Delete>";
    const answer = await fetchSigned(credentials, "/biplane", {
      method: "POST",
      query: [["delete", ""]],
      body,
    });
    expect(answer).toMatchObject({ status: 200, code: "AccessDenied" });
    expect(await objects.store.head("acme/flights/development/uploads/u/f")).toBeDefined();
  });

  test("end with their lease, and can't be altered or mixed", async () => {
    const credentials = session(10 * minute);
    const other = session();
    const mixed = { ...credentials, sessionToken: other.sessionToken };
    expect(await fetchSigned(mixed, `/biplane/${key}`)).toMatchObject({ status: 403 });
    expect(await fetchSigned({ ...mixed, accessKeyId: other.accessKeyId }, `/biplane/${key}`)).toMatchObject({
      code: "SignatureDoesNotMatch",
    });
    const altered = other.sessionToken.reveal().replace(/.{2}$/, "AA");
    const forged = { ...other, sessionToken: { ...other.sessionToken, reveal: () => altered } };
    expect(await fetchSigned(forged as StoreCredentials, `/biplane/${key}`)).toMatchObject({
      code: "InvalidToken",
    });
    expect(await fetchSigned(credentials, `/biplane/${key}`)).toMatchObject({ status: 200 });
    nowMs += 10 * minute;
    expect(await fetchSigned(credentials, `/biplane/${key}`)).toMatchObject({
      status: 400,
      code: "ExpiredToken",
    });
  });

  test("can't presign for more than 12 hours", async () => {
    const credentials = session();
    const url = (expires: string) => {
      const time = timeText(nowMs);
      const scope = { date: time.slice(0, 8), region: "us-east-1" };
      const path = `/biplane/${key}`;
      const query: [string, string][] = [
        ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
        ["X-Amz-Credential", `${credentials.accessKeyId}/${scopeText(scope)}`],
        ["X-Amz-Date", time],
        ["X-Amz-Expires", expires],
        ["X-Amz-Security-Token", credentials.sessionToken.reveal()],
        ["X-Amz-SignedHeaders", "host"],
      ];
      const headers = [["host", new URL(served.endpoint).host]] as const;
      const secret = signingKey(credentials.secretAccessKey.reveal(), scope);
      const signature = signRequest(secret, time, scope, {
        method: "GET",
        path,
        query,
        headers,
        payloadHash: unsignedPayload,
      });
      return `${served.endpoint}${encodePath(path)}?${encodeQuery([...query, ["X-Amz-Signature", signature]])}`;
    };
    expect(await fetchUrl(url("43200"))).toMatchObject({ status: 200 });
    for (const expires of ["43201", "0", "-1", "", "1e9", "x"]) {
      expect(await fetchUrl(url(expires))).toMatchObject({
        status: 403,
        code: "AccessDenied",
      });
    }
  });
});

test("nothing is anonymous", async () => {
  for (const path of ["/", "/biplane", `/biplane/${key}`, "/other", "/biplane?location"]) {
    const answer = await fetchUrl(served.endpoint + path);
    expect(answer).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(answer.headers).toMatchObject({
      "content-security-policy": expect.stringMatching(/^sandbox; default-src 'none';/),
      "x-content-type-options": "nosniff",
    });
  }
});

test("an upload refused before its body never gets the body", async () => {
  let asked = false;
  const { request } = await import("node:https");
  const status = await new Promise<number>((resolve, reject) => {
    const headers = { expect: "100-continue", "content-length": 50 * MiB };
    const sending = request(`${served.endpoint}/biplane/${key}`, {
      method: "PUT",
      headers,
      ca: served.authorityPem,
      agent: false,
    });
    sending.on("continue", () => {
      asked = true;
    });
    sending.on("error", reject);
    sending.on("response", (response) => {
      resolve(response.statusCode ?? 0);
      sending.destroy();
    });
    sending.flushHeaders();
  });
  expect({ status, asked }).toEqual({ status: 403, asked: false });
});

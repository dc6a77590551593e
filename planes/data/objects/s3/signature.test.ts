import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  encodePath,
  encodeUri,
  parseTime,
  signChunk,
  signingKey,
  signRequest,
  timeText,
  unsignedPayload,
} from "./signature.ts";

/** The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and its neighbours. */
const secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const scope = { date: "20130524", region: "us-east-1" };
const time = "20130524T000000Z";
const host = ["host", "examplebucket.s3.amazonaws.com"] as const;
const emptySha256 = createHash("sha256").digest("hex");
const key = signingKey(secret, scope);

test("the documented GET with a range header", () => {
  const headers = [
    host,
    ["range", "bytes=0-9"],
    ["x-amz-content-sha256", emptySha256],
    ["x-amz-date", time],
  ] as const;
  const request = { method: "GET", path: "/test.txt", query: [], headers, payloadHash: emptySha256 };
  expect(signRequest(key, time, scope, request)).toBe(
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  );
});

test("the documented PUT with a character to be encoded in its path", () => {
  const payloadHash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
  const headers = [
    ["date", "Fri, 24 May 2013 00:00:00 GMT"],
    host,
    ["x-amz-content-sha256", payloadHash],
    ["x-amz-date", time],
    ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
  ] as const;
  const request = { method: "PUT", path: "/test$file.text", query: [], headers, payloadHash };
  expect(signRequest(key, time, scope, request)).toBe(
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
  );
});

test("the documented listing, whose query is sorted", () => {
  const headers = [host, ["x-amz-content-sha256", emptySha256], ["x-amz-date", time]] as const;
  const query = [
    ["prefix", "J"],
    ["max-keys", "2"],
  ] as const;
  const request = { method: "GET", path: "/", query, headers, payloadHash: emptySha256 };
  expect(signRequest(key, time, scope, request)).toBe(
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
  );
});

test("the documented presigned URL", () => {
  const query = [
    ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"],
    ["X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"],
    ["X-Amz-Date", time],
    ["X-Amz-Expires", "86400"],
    ["X-Amz-SignedHeaders", "host"],
  ] as const;
  const request = { method: "GET", path: "/test.txt", query, headers: [host], payloadHash: unsignedPayload };
  expect(signRequest(key, time, scope, request)).toBe(
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  );
});

test("the documented chunked upload: each chunk carries on from the one before", () => {
  const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  const first = signChunk(key, time, scope, seed, sha256(Buffer.alloc(65_536, "a")));
  expect(first).toBe("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
  const second = signChunk(key, time, scope, first, sha256(Buffer.alloc(1_024, "a")));
  expect(second).toBe("0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
  expect(signChunk(key, time, scope, second, sha256(Buffer.alloc(0)))).toBe(
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
  );
});

test("paths and names are encoded by RFC 3986, slashes kept", () => {
  expect(encodePath("a b/ä+'()*!/~")).toBe("a%20b/%C3%A4%2B%27%28%29%2A%21/~");
  expect(encodeUri("a/b")).toBe("a%2Fb");
});

test("times are written and read in the basic format of ISO 8601", () => {
  expect(timeText(parseTime(time)!)).toBe(time);
  for (const wrong of ["", "2013-05-24T00:00:00Z", "20131324T000000Z"])
    expect(parseTime(wrong)).toBeUndefined();
});

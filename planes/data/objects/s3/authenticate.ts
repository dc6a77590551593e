/** Checks a request's signature, in its headers or (presigned URL) in its query. Nothing is anonymous. */
import { equalInConstantTime, limits, minute } from "@biplane/base";
import type { Clock } from "@biplane/kit";
import type { CredentialStore, StorePrincipal } from "./credentials.ts";
import { decodePath, type S3Request } from "./request.ts";
import { S3Error } from "./s3-error.ts";
import { algorithm, parseTime, type Scope, signingKey, signRequest, unsignedPayload } from "./signature.ts";

/** What a streamed body's chunk signatures carry on from. */
export interface SignatureChain {
  readonly key: Buffer;
  readonly time: string;
  readonly scope: Scope;
  readonly seed: string;
}

export interface Authenticated {
  readonly principal: StorePrincipal;
  /** To whom the URL was given that the request came by. */
  readonly grantedTo: string | undefined;
  readonly presigned: boolean;
  /** The signed `x-amz-content-sha256`. */
  readonly payloadHash: string;
  readonly chain: SignatureChain;
}

interface Claim {
  readonly accessKeyId: string;
  readonly scope: Scope;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly time: string;
  readonly token: string | undefined;
  readonly payloadHash: string;
  readonly presigned: boolean;
}

/** Of presigned URLs. */
export const granteeParameter = "X-Biplane-Grantee";
const skewMsMax = 15 * minute;
const signingKeysMax = 1_024;

export class Authenticator {
  readonly #credentials: CredentialStore;
  readonly #region: string;
  readonly #clock: Clock;
  /** Four HMACs saved per request; one entry per secret and day. */
  readonly #signingKeys = new Map<string, Buffer>();

  constructor(credentials: CredentialStore, region: string, clock: Clock) {
    this.#credentials = credentials;
    this.#region = region;
    this.#clock = clock;
  }

  /** Throws an `S3Error` where the request is not signed by someone known, now, as it is. */
  authenticate(request: S3Request): Authenticated {
    const claim = request.parameters.has("X-Amz-Signature") ? readQuery(request) : readHeader(request);
    if (claim.scope.region !== this.#region) throw wrongRegion(claim, this.#region);
    this.#requireTime(claim, request);
    requireSignedHeaders(claim, request);
    const { secretAccessKey, principal } = this.#credentials.find(claim.accessKeyId, claim.token);
    const key = this.#signingKey(secretAccessKey, claim.scope);
    const signature = signRequest(key, claim.time, claim.scope, {
      method: request.method,
      path: decodePath(request.rawPath),
      query: request.query.filter(([name]) => name !== "X-Amz-Signature"),
      headers: claim.signedHeaders.map((name) => [name, headerOf(request, name) ?? ""] as const),
      payloadHash: claim.payloadHash,
    });
    if (!equalInConstantTime(Buffer.from(signature), Buffer.from(claim.signature))) {
      throw new S3Error("SignatureDoesNotMatch");
    }
    const chain = { key, time: claim.time, scope: claim.scope, seed: signature };
    const { presigned, payloadHash } = claim;
    return { principal, grantedTo: this.#grantee(claim, request), presigned, payloadHash, chain };
  }

  #grantee({ presigned }: Claim, { parameters }: S3Request): string | undefined {
    const sealed = presigned ? parameters.get(granteeParameter) : undefined;
    return sealed === undefined ? undefined : this.#credentials.openGrantee(sealed);
  }

  #requireTime(claim: Claim, request: S3Request): void {
    const atMs = parseTime(claim.time);
    if (atMs === undefined || !claim.time.startsWith(claim.scope.date)) throw malformed(claim.presigned);
    const nowMs = this.#clock.now();
    if (!claim.presigned) {
      if (Math.abs(nowMs - atMs) > skewMsMax) throw new S3Error("RequestTimeTooSkewed");
      return;
    }
    const lifetimeMs = Number(request.parameters.get("X-Amz-Expires") ?? Number.NaN) * 1_000;
    if (!(lifetimeMs >= 1_000 && lifetimeMs <= limits.presignMsMax)) {
      throw new S3Error("AccessDenied", "X-Amz-Expires has to be 1 to 43200 seconds.");
    }
    if (atMs - nowMs > skewMsMax) throw new S3Error("AccessDenied", "Request is not valid yet.");
    if (nowMs >= atMs + lifetimeMs) throw new S3Error("AccessDenied", "Request has expired.");
  }

  #signingKey(secret: string, scope: Scope): Buffer {
    const name = `${scope.date} ${secret}`;
    const known = this.#signingKeys.get(name);
    if (known !== undefined) return known;
    const key = signingKey(secret, scope);
    if (this.#signingKeys.size >= signingKeysMax) {
      this.#signingKeys.delete(this.#signingKeys.keys().next().value!);
    }
    this.#signingKeys.set(name, key);
    return key;
  }
}

const headerPattern =
  /^AWS4-HMAC-SHA256 +Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/s3\/aws4_request, *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})$/;

function readHeader(request: S3Request): Claim {
  const authorization = request.header("authorization");
  if (authorization === undefined) throw new S3Error("AccessDenied");
  const match = headerPattern.exec(authorization);
  if (match === null) throw malformed(false);
  const payloadHash = request.header("x-amz-content-sha256");
  if (payloadHash === undefined) throw new S3Error("InvalidRequest", "Missing x-amz-content-sha256 header.");
  return {
    accessKeyId: match[1]!,
    scope: { date: match[2]!, region: match[3]! },
    signedHeaders: match[4]!.split(";"),
    signature: match[5]!,
    time: request.header("x-amz-date") ?? "",
    token: request.header("x-amz-security-token"),
    payloadHash,
    presigned: false,
  };
}

function readQuery(request: S3Request): Claim {
  const parameter = (name: string) => request.parameters.get(name) ?? "";
  const credential = /^([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request$/.exec(parameter("X-Amz-Credential"));
  if (credential === null || parameter("X-Amz-Algorithm") !== algorithm) throw malformed(true);
  return {
    accessKeyId: credential[1]!,
    scope: { date: credential[2]!, region: credential[3]! },
    signedHeaders: parameter("X-Amz-SignedHeaders").split(";"),
    signature: parameter("X-Amz-Signature"),
    time: parameter("X-Amz-Date"),
    token: request.parameters.get("X-Amz-Security-Token"),
    payloadHash: request.header("x-amz-content-sha256") ?? unsignedPayload,
    presigned: true,
  };
}

/** A header that could change what the request does must not be added by whoever holds a signed URL. */
function requireSignedHeaders(claim: Claim, request: S3Request): void {
  const signed = new Set(claim.signedHeaders);
  if (!signed.has("host")) throw malformed(claim.presigned);
  for (const name of Object.keys(request.stream.headers)) {
    if (!name.startsWith("x-amz-") || signed.has(name)) continue;
    // The payload's hash stands in the signature itself.
    if (name === "x-amz-content-sha256") continue;
    throw new S3Error("AccessDenied", "There were headers present in the request which were not signed.");
  }
}

function headerOf(request: S3Request, name: string): string | undefined {
  return name === "host" ? request.host : request.header(name);
}

/** A URL that was tampered with is forbidden, whichever part of it no longer makes sense (claim FLOW-2). */
function malformed(presigned: boolean): S3Error {
  if (!presigned) return new S3Error("AuthorizationHeaderMalformed");
  return new S3Error("AccessDenied", "The URL's authorization parameters are malformed.");
}

function wrongRegion(claim: Claim, region: string): S3Error {
  const code = claim.presigned ? "AccessDenied" : "AuthorizationHeaderMalformed";
  return new S3Error(code, `The region '${claim.scope.region}' is wrong; expecting '${region}'.`, {
    "x-amz-bucket-region": region,
  });
}

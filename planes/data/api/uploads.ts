/** Where clients put code and files: a presigned URL for one object, one method, these bytes. */
import { randomBytes } from "node:crypto";
import { BiplaneError, limits, type ProjectDomain } from "@biplane/base";
import type { flyte } from "@biplane/data-wire";
import { codeBundlesPrefix, objectUri, uploadsPrefix } from "@biplane/layout";
import { durationMs, timestamp } from "./messages/times.ts";
import type { ApiParts } from "./parts.ts";

const md5Bytes = 16;
const pathCharactersMax = 900;
/** As Flyte's SDK and our own name their code. */
const bundleName = /^(fast[0-9a-f]+\.tar\.gz|code-[0-9a-f]+\.tar\.gz|code_bundle\.(pkl\.gz|tar\.gz|tgz))$/;
type Request = flyte.dataproxy.CreateUploadLocationRequest;

export async function createUploadLocation(
  parts: ApiParts,
  scope: ProjectDomain,
  request: Request,
  grantedTo: string,
) {
  const md5 = request.contentMd5;
  if (md5.length !== md5Bytes) {
    throw new BiplaneError("invalid_argument", {
      what: "The upload has no MD5 digest.",
      why: "The URL is good for exactly these bytes.",
      next: "Send `content_md5`, 16 bytes.",
    });
  }
  const key = keyOf(scope, request, md5);
  await requireFree(parts, key, md5);
  const lifetimeMs = lifetimeOf(request.expiresIn);
  const encoded = Buffer.from(md5).toString("base64");
  const metadata: Record<string, string> = request.addContentMd5Metadata
    ? { "x-amz-meta-flytecontentmd5": encoded }
    : {};
  const signed = parts.grants.presign({
    method: "PUT",
    key,
    lifetimeMs,
    grantedTo,
    headers: { "content-md5": encoded, ...metadata },
  });
  return {
    signedUrl: signed.reveal(),
    nativeUrl: objectUri(parts.objects.bucket, key),
    expiresAt: timestamp(parts.clock.now() + lifetimeMs),
    headers: metadata,
  };
}

/** As asked, within bounds; the default where nothing was asked. */
export function lifetimeOf(asked: Request["expiresIn"]): number {
  const wanted = durationMs(asked) ?? 0;
  return wanted <= 0 ? limits.presignMsDefault : Math.min(Math.max(wanted, 1_000), limits.presignMsMax);
}

function keyOf(scope: ProjectDomain, request: Request, md5: Uint8Array): string {
  const filename = checkPath(request.filename || randomBytes(10).toString("hex"), "file name");
  // Files of one directory share the root, and the URI has to contain it.
  if (request.filenameRoot !== "") {
    return `${uploadsPrefix(scope)}${checkPath(request.filenameRoot, "directory")}/${filename}`;
  }
  const prefix = bundleName.test(filename) ? codeBundlesPrefix(scope) : uploadsPrefix(scope);
  return `${prefix}${Buffer.from(md5).toString("hex")}/${filename}`;
}

function checkPath(path: string, what: string): string {
  const parts = path.split("/");
  const clean = parts.every((part) => part !== "" && part !== "." && part !== "..");
  if (clean && path.length <= pathCharactersMax && !hasControlCharacter(path)) return path;
  throw new BiplaneError("invalid_argument", {
    what: `The ${what} can't be used as a place for an upload.`,
    why: `It has to be a relative path of at most ${pathCharactersMax} characters without empty or dotted parts.`,
  });
}

function hasControlCharacter(text: string): boolean {
  for (const character of text) if (character < " " || character === "\u007f") return true;
  return false;
}

async function requireFree(parts: ApiParts, key: string, md5: Uint8Array): Promise<void> {
  const head = await parts.objects.head(key);
  if (head === undefined || head.etag === `"${Buffer.from(md5).toString("hex")}"`) return;
  throw new BiplaneError(
    "already_exists",
    {
      what: "Another file is at this place already.",
      why: "Uploads are written once.",
      next: "Choose another name or directory.",
    },
    { reason: "upload_exists" },
  );
}

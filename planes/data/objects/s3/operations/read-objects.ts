/** GetObject and HeadObject. */
import { once } from "node:events";
import type { HttpResponse } from "@biplane/kit";
import type { ObjectEntry } from "../../store/entries.ts";
import { decideRead, parseRange, type Range } from "../conditions.ts";
import { describe } from "../object-headers.ts";
import type { Operation, OperationContext } from "../operation.ts";
import { type Headers, sendEmpty, sendXml, writeHead } from "../respond.ts";
import { S3Error } from "../s3-error.ts";

export const headObject: Operation = (context) => {
  const selected = select(context);
  if (selected === undefined) return;
  writeHead(context.response, selected.status, selected.headers);
  context.response.end();
};

export const getObject: Operation = async (context) => {
  const selected = select(context);
  if (selected === undefined) return;
  const { entry, range, status, headers } = selected;
  const body = context.objects.read(entry, range?.first, range?.last);
  // The first piece before the first header: what can't be read must not begin as a success.
  const first = await body.next();
  writeHead(context.response, status, headers);
  try {
    if (!first.done) await send(context.response, first.value, body);
  } finally {
    await body.return(undefined);
  }
  context.response.end();
};

/** There are no tags; clients ask before they copy. */
export const getObjectTagging: Operation = ({ objects, response, key }) => {
  if (objects.entry(key) === undefined) throw new S3Error("NoSuchKey");
  sendXml(response, ["Tagging", [["TagSet", []]]]);
};

interface Selected {
  readonly entry: ObjectEntry;
  readonly range: Range | undefined;
  readonly status: number;
  readonly headers: Headers;
}

/** What to serve; undefined where the answer was sent. */
function select(context: OperationContext): Selected | undefined {
  const { request, response, key } = context;
  const entry = context.objects.entry(key);
  if (entry === undefined) throw new S3Error("NoSuchKey");
  const headers = describe(request, entry);
  if (decideRead(request, entry) === "not_modified") {
    const { etag, "last-modified": lastModified } = headers;
    sendEmpty(response, 304, { etag: etag!, "last-modified": lastModified! });
    return undefined;
  }
  const range =
    rangeOfPart(request.parameters.get("partNumber"), entry) ??
    parseRange(request.header("range"), entry.sizeBytes);
  const parts: Headers = entry.parts[0]!.part > 0 ? { "x-amz-mp-parts-count": entry.parts.length } : {};
  const more: Headers = request.parameters.has("partNumber") ? parts : {};
  if (range === undefined) return { entry, range, status: 200, headers: { ...headers, ...more } };
  const partial = {
    "content-range": `bytes ${range.first}-${range.last}/${entry.sizeBytes}`,
    "content-length": range.last - range.first + 1,
  };
  return { entry, range, status: 206, headers: { ...withoutChecksum(headers), ...partial, ...more } };
}

function rangeOfPart(text: string | undefined, entry: ObjectEntry): Range | undefined {
  if (text === undefined) return undefined;
  const at = /^\d{1,5}$/.test(text) ? Number(text) - 1 : -1;
  const part = entry.parts[at];
  if (part === undefined) throw new S3Error("InvalidRange");
  if (part.plainBytes === 0) return undefined;
  const first = entry.parts.slice(0, at).reduce((sum, before) => sum + before.plainBytes, 0);
  return { first, last: first + part.plainBytes - 1 };
}

/** A checksum is over the whole object; clients would compare it with the piece they got. */
function withoutChecksum(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("x-amz-checksum-")));
}

/** At the client's pace: a slow one must not fill the memory, one that left must not be waited for. */
async function send(response: HttpResponse, first: Buffer, rest: AsyncIterable<Buffer>): Promise<void> {
  const left = new AbortController();
  response.once("close", () => left.abort());
  if (!(await write(response, first, left.signal))) return;
  for await (const chunk of rest) if (!(await write(response, chunk, left.signal))) return;
}

async function write(response: HttpResponse, chunk: Buffer, left: AbortSignal): Promise<boolean> {
  if (left.aborted || response.destroyed) return false;
  if ((response.write as (chunk: Buffer) => boolean).call(response, chunk)) return true;
  try {
    await once(response, "drain", { signal: left });
    return true;
  } catch {
    return false;
  }
}

/** Local bytes to the cluster's store by presigned URL: they go straight there, and arrive as they were or not at all. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { BiplaneError } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { createClient, type Transport } from "@connectrpc/connect";
import { concurrently } from "../tasks/concurrently.ts";
import type { PinnedHttp } from "./pinned-http.ts";

export interface UploadPlace {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
}

const uploadsAtOnce = 8;

export class Uploader {
  readonly #client;
  readonly #http: PinnedHttp;
  readonly #place: UploadPlace;

  constructor(router: Transport, http: PinnedHttp, place: UploadPlace) {
    this.#client = createClient(flyte.dataproxy.DataProxyService, router);
    this.#http = http;
    this.#place = place;
  }

  /** Resolves to the object's URI. */
  async bytes(name: string, content: Uint8Array): Promise<string> {
    const digest = createHash("md5").update(content).digest();
    return this.#put(name, content.byteLength, digest, "", () => content);
  }

  async file(path: string, root = "", name = basename(path)): Promise<string> {
    const size = await sizeOfFile(path);
    const hash = createHash("md5");
    for await (const chunk of createReadStream(path)) hash.update(chunk);
    return this.#put(name, size, hash.digest(), root, () => createReadStream(path));
  }

  /** All files of a folder under one new prefix, to whose URI it resolves. */
  async folder(path: string): Promise<string> {
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    if (files.length === 0) throw new BiplaneError("invalid_argument", `${path} holds no files.`);
    const root = randomBytes(12).toString("hex");
    const uris = await concurrently(files, uploadsAtOnce, (file) =>
      this.file(file, root, relative(path, file).split(sep).join("/")),
    );
    const [first = ""] = uris;
    return first.slice(0, first.indexOf(`/${root}`) + root.length + 1);
  }

  async #put(
    filename: string,
    sizeBytes: number,
    md5: Uint8Array,
    filenameRoot: string,
    open: () => Uint8Array | AsyncIterable<Uint8Array>,
  ): Promise<string> {
    const location = await this.#client.createUploadLocation({
      ...this.#place,
      filename,
      filenameRoot,
      contentMd5: md5,
      contentLength: BigInt(sizeBytes),
      addContentMd5Metadata: true,
    });
    const response = await this.#http.send(location.signedUrl, {
      method: "PUT",
      headers: {
        ...location.headers,
        "content-length": String(sizeBytes),
        "content-md5": Buffer.from(md5).toString("base64"),
      },
      body: open(),
    });
    const answer = await this.#http.text(response);
    if (response.status < 300) return location.nativeUrl;
    const code = /<Code>([A-Za-z0-9]+)<\/Code>/.exec(answer)?.[1] ?? `HTTP ${response.status}`;
    throw new BiplaneError("failed_precondition", {
      what: `The object store refused ${filename}: ${code}.`,
      next: "Try again; presigned URLs end after a while.",
    });
  }
}

async function sizeOfFile(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === true) return found.size;
  throw new BiplaneError("not_found", {
    what: found === undefined ? `There is no file ${path}.` : `${path} is not a file.`,
    next: "Give the path of a file on this machine, or an s3:// address that the data plane holds.",
  });
}

/** The AWS CLI of Debian, one process per command. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClientPlace, Head, Listing, Outcome, PutOptions, StoreClient } from "./store-client.ts";

const run = promisify(execFile);
const binary = process.env["BIPLANE_AWS_CLI"] ?? "/usr/bin/aws";

export function createAwsCliClient(place: ClientPlace, folder: string): StoreClient {
  return new AwsCliClient(place, folder);
}

class AwsCliClient implements StoreClient {
  readonly name = "AWS CLI";
  readonly lacks = {
    "conditional put": "version 2.9 has no --if-none-match for put-object",
    "presign put": "the CLI presigns GET only",
  };
  readonly checksums = ["CRC32", "SHA1", "SHA256"];
  readonly #place: ClientPlace;
  readonly #folder: string;

  constructor(place: ClientPlace, folder: string) {
    this.#place = place;
    this.#folder = folder;
  }

  async put(key: string, file: string, options: PutOptions = {}): Promise<Outcome> {
    if (options.checksum !== undefined) {
      return this.#outcome(
        "s3api",
        "put-object",
        ...this.#at(key),
        "--body",
        file,
        "--checksum-algorithm",
        options.checksum,
      );
    }
    const type = options.contentType === undefined ? [] : ["--content-type", options.contentType];
    const metadata = options.metadata === undefined ? [] : ["--metadata", JSON.stringify(options.metadata)];
    return this.#outcome("s3", "cp", "--only-show-errors", file, this.#uri(key), ...type, ...metadata);
  }

  get(key: string, file: string): Promise<Outcome> {
    return this.#outcome("s3", "cp", "--only-show-errors", this.#uri(key), file);
  }

  getRange(key: string, first: number, last: number, file: string): Promise<Outcome> {
    return this.#outcome("s3api", "get-object", ...this.#at(key), "--range", `bytes=${first}-${last}`, file);
  }

  getIfChanged(key: string, etag: string, file: string): Promise<Outcome> {
    return this.#outcome("s3api", "get-object", ...this.#at(key), "--if-none-match", etag, file);
  }

  async head(key: string): Promise<Head | Outcome> {
    const answer = await this.#run("s3api", "head-object", ...this.#at(key));
    if (typeof answer === "string") return answer;
    const head = answer.json as {
      ContentLength: number;
      ETag: string;
      ContentType: string;
      Metadata: Record<string, string>;
    };
    return {
      sizeBytes: head.ContentLength,
      etag: head.ETag,
      contentType: head.ContentType,
      metadata: head.Metadata,
    };
  }

  async list(prefix: string): Promise<Listing | Outcome> {
    const bucket = ["--bucket", this.#place.ready.bucket, "--prefix", prefix];
    const answer = await this.#run("s3api", "list-objects-v2", ...bucket, "--page-size", "7");
    return typeof answer === "string" ? answer : listingOf(answer.json);
  }

  async listFolder(prefix: string): Promise<Listing> {
    const bucket = ["--bucket", this.#place.ready.bucket, "--prefix", prefix, "--delimiter", "/"];
    const answer = await this.#run("s3api", "list-objects-v2", ...bucket);
    if (typeof answer === "string") throw new Error(`The listing was ${answer}.`);
    return listingOf(answer.json);
  }

  copy(from: string, to: string): Promise<Outcome> {
    return this.#outcome("s3", "cp", "--only-show-errors", this.#uri(from), this.#uri(to));
  }

  async remove(keys: readonly string[]): Promise<Outcome> {
    const file = join(this.#folder, "delete.json");
    await writeFile(file, JSON.stringify({ Objects: keys.map((Key) => ({ Key })) }));
    const bucket = ["--bucket", this.#place.ready.bucket];
    return this.#outcome("s3api", "delete-objects", ...bucket, "--delete", `file://${file}`);
  }

  async presign(_method: "GET", key: string): Promise<string> {
    const answer = await this.#run("s3", "presign", this.#uri(key), "--expires-in", "600");
    if (typeof answer === "string") throw new Error(`Presigning was ${answer}.`);
    return answer.text.trim();
  }

  async close(): Promise<void> {}

  #at(key: string): string[] {
    return ["--bucket", this.#place.ready.bucket, "--key", key];
  }

  #uri(key: string): string {
    return `s3://${this.#place.ready.bucket}/${key}`;
  }

  async #outcome(...parameters: string[]): Promise<Outcome> {
    const answer = await this.#run(...parameters);
    return typeof answer === "string" ? answer : "ok";
  }

  async #run(...parameters: string[]): Promise<{ text: string; json: unknown } | Outcome> {
    const { ready, credentials } = this.#place;
    const environment = {
      PATH: process.env["PATH"] ?? "",
      HOME: this.#folder,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_SESSION_TOKEN: credentials.sessionToken,
      AWS_CA_BUNDLE: ready.caPath,
      AWS_DEFAULT_REGION: ready.region,
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_MAX_ATTEMPTS: "1",
    };
    try {
      const { stdout } = await run(
        binary,
        ["--endpoint-url", ready.endpoint, "--output", "json", ...parameters],
        {
          env: environment,
          maxBuffer: 64 * 1024 * 1024,
        },
      );
      return { text: stdout, json: /^\s*[{[]/.test(stdout) ? JSON.parse(stdout) : {} };
    } catch (error) {
      return outcomeOf(String((error as { stderr?: string }).stderr));
    }
  }
}

function outcomeOf(message: string): Outcome {
  if (/\((404|NoSuchKey)\)/.test(message)) return "not_found";
  if (/\((403|AccessDenied)\)/.test(message)) return "denied";
  if (/\((304|NotModified)\)/.test(message)) return "not_modified";
  if (/\((ConditionalRequestConflict|PreconditionFailed|409|412)\)/.test(message)) return "exists";
  throw new Error(message);
}

function listingOf(json: unknown): Listing {
  const { Contents, CommonPrefixes } = json as {
    Contents?: { Key: string }[];
    CommonPrefixes?: { Prefix: string }[];
  };
  return {
    keys: (Contents ?? []).map(({ Key }) => Key),
    prefixes: (CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
  };
}

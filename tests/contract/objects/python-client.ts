/** boto3 and obstore from PyPI, each driven over a pipe by a short program of its own: one JSON line in, one out. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { pythonPath } from "../../support/tools.ts";
import type {
  ClientPlace,
  Feature,
  Head,
  Listing,
  Outcome,
  PutOptions,
  StoreClient,
} from "./store-client.ts";

interface Driver {
  readonly name: string;
  readonly script: string;
  readonly lacks: Readonly<Partial<Record<Feature, string>>>;
  readonly checksums: readonly string[];
}

const boto3: Driver = {
  name: "boto3",
  script: "boto3_driver.py",
  lacks: {},
  checksums: ["CRC32", "SHA1", "SHA256"],
};

const obstore: Driver = {
  name: "obstore",
  script: "obstore_driver.py",
  lacks: { checksums: "obstore chooses the checksum for the whole store, which the suite does with SHA-256" },
  checksums: [],
};

export const createBoto3Client = (place: ClientPlace): StoreClient => new PythonClient(boto3, place);
export const createObstoreClient = (place: ClientPlace): StoreClient => new PythonClient(obstore, place);

type Answer = { outcome: Outcome; value?: unknown; error?: string };

class PythonClient implements StoreClient {
  readonly name: string;
  readonly lacks: Driver["lacks"];
  readonly checksums: readonly string[];
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #ended: Promise<never>;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(driver: Driver, { ready, credentials }: ClientPlace) {
    this.name = driver.name;
    this.lacks = driver.lacks;
    this.checksums = driver.checksums;
    this.#child = spawn(pythonPath, [join(import.meta.dirname, driver.script)], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        PATH: process.env["PATH"] ?? "",
        STORE: JSON.stringify({ ...ready, credentials }),
        AWS_CA_BUNDLE: ready.caPath,
        SSL_CERT_FILE: ready.caPath,
      },
    });
    this.#lines = createInterface(this.#child.stdout!);
    this.#ended = once(this.#child, "exit").then(([code]) => {
      throw new Error(`The ${driver.name} driver ended with ${code}.`);
    });
    this.#ended.catch(() => undefined);
  }

  put(key: string, file: string, options: PutOptions = {}): Promise<Outcome> {
    return this.#outcome("put", { key, file, ...options });
  }

  get(key: string, file: string): Promise<Outcome> {
    return this.#outcome("get", { key, file });
  }

  getRange(key: string, first: number, last: number, file: string): Promise<Outcome> {
    return this.#outcome("get_range", { key, first, last, file });
  }

  getIfChanged(key: string, etag: string, file: string): Promise<Outcome> {
    return this.#outcome("get_if_changed", { key, etag, file });
  }

  async head(key: string): Promise<Head | Outcome> {
    const { outcome, value } = await this.#ask("head", { key });
    return outcome === "ok" ? (value as Head) : outcome;
  }

  async list(prefix: string): Promise<Listing | Outcome> {
    const { outcome, value } = await this.#ask("list", { prefix });
    return outcome === "ok" ? (value as Listing) : outcome;
  }

  async listFolder(prefix: string): Promise<Listing> {
    return (await this.#ask("list_folder", { prefix })).value as Listing;
  }

  copy(source: string, target: string): Promise<Outcome> {
    return this.#outcome("copy", { source, target });
  }

  remove(keys: readonly string[]): Promise<Outcome> {
    return this.#outcome("remove", { keys });
  }

  async presign(method: "GET" | "PUT", key: string): Promise<string> {
    return (await this.#ask("presign", { method, key })).value as string;
  }

  async close(): Promise<void> {
    this.#child.stdin!.end();
    this.#lines.close();
  }

  async #outcome(operation: string, parameters: object): Promise<Outcome> {
    return (await this.#ask(operation, parameters)).outcome;
  }

  /** One question at a time: the driver answers in order. */
  #ask(operation: string, parameters: object): Promise<Answer> {
    const asking = this.#turn.then(() => this.#exchange(JSON.stringify({ operation, ...parameters })));
    this.#turn = asking.catch(() => undefined);
    return asking;
  }

  async #exchange(question: string): Promise<Answer> {
    const answered = once(this.#lines, "line") as Promise<[string]>;
    this.#child.stdin!.write(`${question}\n`);
    const [line] = await Promise.race([answered, this.#ended]);
    const answer = JSON.parse(line) as Answer;
    if (answer.error !== undefined) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }
}

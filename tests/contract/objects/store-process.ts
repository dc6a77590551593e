/** The object store in a process of its own, which tests can kill and start again on the same folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

export interface StoreReady {
  readonly endpoint: string;
  readonly caPath: string;
  readonly bucket: string;
  readonly region: string;
  readonly credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  readonly narrowCredentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
}

const root = resolve(import.meta.dirname, "../../..");

export class StoreProcess {
  readonly folder: string;
  #child: ChildProcess | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<StoreProcess> {
    return new StoreProcess(await mkdtemp(join(tmpdir(), "biplane-store-process-")));
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  async start(environment: Record<string, string> = {}): Promise<StoreReady & { authorityPem: string }> {
    const script = join(root, "planes/data/objects/testing/store-process.ts");
    const loader = join(root, "tools/typescript.mjs");
    const child = spawn(process.execPath, ["--import", loader, script, this.folder], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...environment },
    });
    this.#child = child;
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`The store ended with ${code} before it was ready.`);
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), ended])) as [string];
    ended.catch(() => undefined);
    const ready = JSON.parse(line) as StoreReady;
    return { ...ready, authorityPem: await readFile(ready.caPath, "utf8") };
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.end("SIGKILL");
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** An object store in a folder of its own for tests, which can be closed and opened again. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, createLogger, deriveKey, newKey, systemClock } from "@biplane/kit";
import { FileKeyProvider } from "../../keys/file-provider.ts";
import { ProjectKeys } from "../../keys/project-keys.ts";
import { type EmbeddedObjects, type ObjectsOptions, openObjects } from "../index.ts";

export const log = createLogger({ component: "objects-test", level: "silent" });

export class StoreHome {
  readonly folder: string;
  readonly #systemKey = newKey();
  readonly #clock: Clock;
  #keys: ProjectKeys | undefined;
  #objects: EmbeddedObjects | undefined;

  private constructor(folder: string, clock: Clock) {
    this.folder = folder;
    this.#clock = clock;
  }

  static async create(clock: Clock = systemClock): Promise<StoreHome> {
    return new StoreHome(await mkdtemp(join(tmpdir(), "biplane-objects-")), clock);
  }

  get customerKeysFolder(): string {
    return join(this.folder, "customer-keys");
  }

  get keys(): ProjectKeys {
    return this.#keys!;
  }

  /** Opens it anew; what was open before is closed first. */
  async open(options: Partial<ObjectsOptions> = {}): Promise<EmbeddedObjects> {
    await this.close();
    this.#keys = await ProjectKeys.open({
      folder: join(this.folder, "project-keys"),
      systemKey: deriveKey(this.#systemKey, "project keys"),
      provider: await FileKeyProvider.open(this.customerKeysFolder),
      clock: this.#clock,
    });
    this.#objects = await openObjects({
      folder: join(this.folder, "objects"),
      systemKey: deriveKey(this.#systemKey, "objects"),
      keys: this.#keys,
      log,
      clock: this.#clock,
      ...options,
    });
    return this.#objects;
  }

  async close(): Promise<void> {
    await this.#objects?.close();
    await this.#keys?.close();
    this.#objects = undefined;
    this.#keys = undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/**
 * Small streams, one behind the other in pack files. Streams that come together share one write and one sync. A pack
 * is only ever appended to by the process that made it, and deleted once nothing in it is referred to.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { BiplaneError, MiB } from "@biplane/base";
import { writeFully } from "@biplane/kit/files";
import { GroupWriter } from "@biplane/kit/group-writer";
import { HandleCache } from "./handle-cache.ts";
import { RecentStreams } from "./recent-streams.ts";
import { SharedSync } from "./shared-sync.ts";

const packBytesMax = 64 * MiB;
const groupBytesMax = 8 * MiB;
const waitingBytesMax = 64 * MiB;
const openHandlesMax = 64;
const extension = ".pack";

/** Where a stream begins. */
interface PackPlace {
  readonly pack: string;
  readonly offset: number;
}

interface ActivePack {
  readonly name: string;
  readonly file: FileHandle;
  size: number;
}

export class Packs {
  readonly #folder: string;
  readonly #sync: SharedSync;
  readonly #liveBytes = new Map<string, number>();
  readonly #handles: HandleCache;
  readonly #recent = new RecentStreams();
  readonly #writer: GroupWriter<readonly Uint8Array[], PackPlace>;
  #active: ActivePack | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    this.#sync = new SharedSync(folder);
    this.#handles = new HandleCache(openHandlesMax, (name) => open(this.#path(name), "r"));
    this.#writer = new GroupWriter({
      groupBytesMax,
      write: (streams) => this.#writeGroup(streams),
      cleanUp: async (cause) => {
        await this.#retireActive();
        return cause;
      },
    });
  }

  /** Counts a stream that the catalog refers to; called for each before anything else. */
  adopt(pack: string, bytes: number): void {
    this.#liveBytes.set(pack, (this.#liveBytes.get(pack) ?? 0) + bytes);
  }

  /** Deletes the packs that nothing was adopted in. */
  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const file of await readdir(this.#folder)) {
      if (!this.#liveBytes.has(file.slice(0, -extension.length))) await unlink(join(this.#folder, file));
    }
  }

  /** Resolves to the stream's place once it is on disk. */
  append(pieces: readonly Uint8Array[]): Promise<PackPlace> {
    const bytes = lengthOf(pieces);
    if (this.#writer.waitingBytes + bytes > waitingBytesMax) return Promise.reject(tooMuch());
    return this.#writer.append(pieces, bytes);
  }

  /** Fills the buffer; gives the part that was filled. */
  async read(pack: string, offset: number, buffer: Buffer): Promise<Buffer> {
    if (this.#recent.copy(pack, offset, buffer)) return buffer;
    const bytesRead = await this.#handles.use(pack, async (file) => {
      return (await file.read(buffer, 0, buffer.length, offset)).bytesRead;
    });
    return buffer.subarray(0, bytesRead);
  }

  /** The stream is no longer referred to. */
  async release(pack: string, bytes: number): Promise<void> {
    const live = (this.#liveBytes.get(pack) ?? 0) - bytes;
    this.#liveBytes.set(pack, live);
    if (live > 0 || this.#active?.name === pack) return;
    await this.#remove(pack);
  }

  /** Packs no longer written to that are mostly waste: worth moving their remains elsewhere. */
  wasteful(): string[] {
    const found: string[] = [];
    for (const [name, live] of this.#liveBytes) {
      if (name !== this.#active?.name && live < packBytesMax / 4) found.push(name);
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#writer.idle();
    await this.#active?.file.close();
    this.#active = undefined;
    await this.#handles.close();
  }

  async #writeGroup(streams: readonly (readonly Uint8Array[])[]): Promise<PackPlace[]> {
    const active = await this.#activePack();
    const bytes = Buffer.concat(streams.flat());
    await writeFully(active.file, bytes, active.size);
    await active.file.datasync();
    const start = active.size;
    return streams.map((pieces) => {
      const place = { pack: active.name, offset: active.size };
      const length = lengthOf(pieces);
      this.#recent.add(
        active.name,
        active.size,
        bytes.subarray(active.size - start, active.size - start + length),
      );
      active.size += length;
      this.adopt(active.name, length);
      return place;
    });
  }

  async #activePack(): Promise<ActivePack> {
    if (this.#active !== undefined && this.#active.size < packBytesMax) return this.#active;
    await this.#retireActive();
    const name = randomBytes(16).toString("hex");
    const file = await open(this.#path(name), "wx", 0o600);
    this.#active = { name, file, size: 0 };
    this.#liveBytes.set(name, 0);
    await this.#sync.sync();
    return this.#active;
  }

  /** Also after a failed write, of which nobody knows what is on disk: its bytes are waste at the pack's end. */
  async #retireActive(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    if (active === undefined) return;
    await active.file.close();
    if ((this.#liveBytes.get(active.name) ?? 0) <= 0) await this.#remove(active.name);
  }

  async #remove(pack: string): Promise<void> {
    this.#liveBytes.delete(pack);
    await this.#handles.drop(pack);
    await unlink(this.#path(pack)).catch(ignoreMissing);
  }

  #path(name: string): string {
    return join(this.#folder, name + extension);
  }
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

function tooMuch(): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: "The object store is busy.",
      why: "Too many bytes wait for the disk.",
      next: "Try again in a moment.",
    },
    { reason: "slow_down" },
  );
}

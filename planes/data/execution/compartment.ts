/**
 * One sandbox with what belongs to it: a user of its own, a folder with the sockets that tell the router and the store
 * who calls, and the process inside. Everything goes when the process ends.
 */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import type { AttemptId } from "@biplane/base";
import { readFileIfAny, writeFileDurably } from "@biplane/kit";
import type { InsidePaths, Sandbox, SandboxLauncher, SandboxOptions } from "./sandbox/types.ts";
import { SandboxUsers } from "./sandbox/users.ts";
import type { SandboxEntrances } from "./types.ts";

export interface CompartmentProgram {
  readonly argv: (paths: InsidePaths) => readonly string[];
  readonly environment: (paths: InsidePaths) => Readonly<Record<string, string>>;
  readonly control: boolean;
  /** It gives way to everything else until it is hastened. */
  readonly background: boolean;
  /** It gets `authorities.pem` as well: what the machine believes, and the organization's root. */
  readonly publicAuthorities: boolean;
}

export interface Compartment {
  readonly sandbox: Sandbox;
  readonly paths: InsidePaths;
  /** Who is inside at the moment: requests through the sockets are this attempt's. */
  attempt: AttemptId | undefined;
  /** The process has ended, and sockets, folder and user are gone. */
  readonly gone: Promise<void>;
}

interface Opened {
  readonly folder: string;
  readonly servers: readonly { close(): unknown }[];
}

export class Compartments {
  readonly #launcher: SandboxLauncher;
  readonly #entrances: SandboxEntrances;
  readonly #authorityPem: () => string;
  readonly #base: string;
  readonly #users = process.getuid?.() === 0 ? new SandboxUsers() : undefined;
  readonly #alive = new Set<Compartment>();
  /** The system's; read when a program first wants them. */
  #authorities: readonly string[] | undefined;
  #opening = 0;
  #closed = false;
  #count = 0;

  private constructor(
    launcher: SandboxLauncher,
    entrances: SandboxEntrances,
    authorityPem: () => string,
    base: string,
  ) {
    this.#launcher = launcher;
    this.#entrances = entrances;
    this.#authorityPem = authorityPem;
    this.#base = base;
  }

  /** Sockets live in a short folder of their own, since their paths may have 107 bytes only. */
  static async create(
    launcher: SandboxLauncher,
    entrances: SandboxEntrances,
    authorityPem: () => string,
    stateFolder: string,
  ): Promise<Compartments> {
    const memo = join(stateFolder, "sockets-folder");
    const left = (await readFileIfAny(memo))?.toString("utf8");
    const prefix = join(tmpdir(), "biplane-");
    if (left?.startsWith(prefix)) await rm(left, { recursive: true, force: true });
    const base = await mkdtemp(prefix);
    await writeFileDurably(memo, base);
    return new Compartments(launcher, entrances, authorityPem, base);
  }

  get sandboxKind(): SandboxLauncher["kind"] {
    return this.#launcher.kind;
  }

  /** Sandboxes that run or are being made. */
  get size(): number {
    return this.#alive.size + this.#opening;
  }

  async open(program: CompartmentProgram): Promise<Compartment> {
    this.#opening += 1;
    try {
      return await this.#open(program);
    } finally {
      this.#opening -= 1;
    }
  }

  async #open(program: CompartmentProgram): Promise<Compartment> {
    const user = this.#launcher.kind === "bubblewrap" ? this.#users?.take() : undefined;
    const identity: { attempt: AttemptId | undefined } = { attempt: undefined };
    const opened = await this.#openFolder(program, user, () => identity.attempt).catch((error: unknown) => {
      if (user !== undefined) this.#users?.release(user);
      throw error;
    });
    try {
      const paths = this.#launcher.inside(opened.folder);
      const sandbox = await this.#launcher.start(describeProgram(program, paths, opened.folder), user);
      const gone = sandbox.ended.then(() => this.#remove(opened, user));
      const compartment: Compartment = Object.assign(identity, { sandbox, paths, gone });
      this.#alive.add(compartment);
      void gone.finally(() => this.#alive.delete(compartment));
      if (this.#closed) sandbox.kill();
      return compartment;
    } catch (error) {
      await this.#remove(opened, user);
      throw error;
    }
  }

  /** Ends everything that runs. */
  async close(): Promise<void> {
    this.#closed = true;
    const alive = [...this.#alive];
    for (const { sandbox } of alive) sandbox.kill();
    await Promise.all(alive.map(({ gone }) => gone));
    await this.#launcher.close();
    await rm(this.#base, { recursive: true, force: true });
  }

  async #openFolder(
    { publicAuthorities }: CompartmentProgram,
    user: number | undefined,
    attempt: () => AttemptId | undefined,
  ): Promise<Opened> {
    this.#count += 1;
    const folder = join(this.#base, String(this.#count));
    mkdirSync(join(folder, "scratch"), { recursive: true });
    writeFileSync(join(folder, "root.pem"), this.#authorityPem(), { mode: 0o644 });
    if (publicAuthorities) {
      writeFileSync(join(folder, "authorities.pem"), this.#allAuthorities(), { mode: 0o644 });
    }
    const paths = ["router", "store", "egress"].map((name) => join(folder, `${name}.sock`));
    const [router = "", store = "", egress = ""] = paths;
    const servers = await Promise.all([
      this.#entrances.openRouter(router, attempt),
      this.#entrances.openStore(store),
      this.#entrances.openEgress(egress, attempt),
    ]);
    if (user !== undefined) for (const path of [folder, ...paths]) chownSync(path, user, user);
    return { folder, servers };
  }

  #allAuthorities(): string {
    this.#authorities ??= getCACertificates("system");
    return [...this.#authorities, this.#authorityPem()].join("\n");
  }

  async #remove(opened: Opened, user: number | undefined): Promise<void> {
    for (const server of opened.servers) server.close();
    await rm(opened.folder, { recursive: true, force: true });
    if (user !== undefined) this.#users?.release(user);
  }
}

function describeProgram(
  program: CompartmentProgram,
  paths: InsidePaths,
  socketFolder: string,
): SandboxOptions {
  const own = {
    HOME: paths.scratch,
    TMPDIR: paths.scratch,
    LANG: "C.UTF-8",
    SSL_CERT_DIR: "/etc/ssl/certs",
    BIPLANE_SOCKETS: paths.sockets,
  };
  return {
    argv: program.argv(paths),
    environment: { ...own, ...program.environment(paths) },
    socketFolder,
    control: program.control,
    background: program.background,
  };
}

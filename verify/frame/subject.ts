/** What is verified: a signed-in client of one cluster, and the planes' processes where they run on this machine. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { ensureProject } from "@biplane/cli/commands/create";
import { type Connection, openConnection, RemoteClient } from "@biplane/sdk/remote";
import { findPlanes, type Planes } from "../machine/planes.ts";
import { Undo } from "./undo.ts";

/** Runs of verify are in a project of their own. */
export const verifyProject = "verify";

export interface SubjectOptions {
  readonly profile?: string;
  /** As from a machine on which no plane runs. */
  readonly remote?: boolean;
  readonly signal: AbortSignal;
}

export class Subject {
  readonly connection: Connection;
  readonly client: RemoteClient;
  /** Why the planes' own processes can't be looked at; undefined where they can. */
  readonly remoteBecause: string | undefined;
  /** For files of verify's own; removed in the end. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly undo: Undo;
  readonly #planes: Planes | undefined;
  readonly #scenes = new Map<(subject: Subject) => Promise<unknown>, Promise<unknown>>();

  constructor(parts: {
    connection: Connection;
    planes: Planes | undefined;
    remoteBecause: string | undefined;
    folder: string;
    signal: AbortSignal;
    undo: Undo;
  }) {
    this.connection = parts.connection;
    this.client = new RemoteClient(parts.connection);
    this.remoteBecause = parts.remoteBecause;
    this.folder = parts.folder;
    this.signal = parts.signal;
    this.undo = parts.undo;
    this.#planes = parts.planes;
  }

  /** Only claims that are judged on the planes' machine may ask. */
  get planes(): Planes {
    if (this.#planes !== undefined) return this.#planes;
    throw new BiplaneError("failed_precondition", this.remoteBecause ?? "The planes do not run here.");
  }

  /** What several claims look at is made once, by whoever comes first. */
  scene<T>(make: (subject: Subject) => Promise<T>): Promise<T> {
    const known = this.#scenes.get(make) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const made = make(this);
    this.#scenes.set(make, made);
    return made;
  }
}

export async function openSubject(options: SubjectOptions): Promise<Subject> {
  const { profile, signal } = options;
  const connection = await openConnection({
    ...(profile === undefined ? {} : { profile }),
    project: verifyProject,
  });
  await ensureProject(connection, verifyProject);
  const planes = options.remote === true ? undefined : findPlanes(connection.profile);
  const folder = await mkdtemp(join(tmpdir(), "biplane-verify-"));
  const undo = new Undo();
  undo.add(() => rm(folder, { recursive: true, force: true }));
  const remoteBecause =
    planes === undefined
      ? `It reads processes and files of both planes, and the planes of ${connection.profile.router} do not run on this machine.`
      : undefined;
  return new Subject({ connection, planes, remoteBecause, folder, signal, undo });
}

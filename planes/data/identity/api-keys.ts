/** Credentials of programs: made by administrators, with an owner who answers for them, an end, and a last use. */
import { BiplaneError, day, type OrgId, parseDomainId, parseProjectId, type Secret } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import type { Logger } from "@biplane/kit/logging";
import { keepAdministrator } from "../policy/administrators.ts";
import type { Policy } from "../policy/policy.ts";
import type { Directory, RoleGrant } from "./directory.ts";
import type { Revocations } from "./revocations.ts";
import type { Subject } from "./subject.ts";
import { prepareClient } from "./subject-rules.ts";

export interface NewApiKey {
  readonly name: string;
  readonly owner: string;
  readonly expiresAtMs: number | undefined;
  readonly role: string;
  readonly project: string;
  readonly domain: string;
}

const lifetimeMsDefault = 90 * day;
const lifetimeMsMax = 366 * day;

export interface ApiKeysParts {
  readonly org: OrgId;
  readonly directory: Directory;
  readonly revocations: Revocations;
  readonly clock: Clock;
  /** A key that comes or goes is in the policy that is signed in the same transaction. */
  readonly policy: Pick<Policy, "change">;
}

export class ApiKeys {
  readonly #parts: ApiKeysParts;

  constructor(parts: ApiKeysParts) {
    this.#parts = parts;
  }

  async create(wanted: NewApiKey): Promise<{ key: Subject; secret: Secret<string> }> {
    const { directory, clock, policy } = this.#parts;
    const now = clock.now();
    const expiresAtMs = requireEnd(wanted.expiresAtMs ?? now + lifetimeMsDefault, now);
    const { subject, client } = prepareClient(wanted.name, now);
    const key = { ...subject, owner: wanted.owner, expiresAtMs };
    await policy.change((transaction) => directory.add(transaction, key, grantOf(wanted)));
    return { key: { ...key, isFederated: false }, secret: client.clientSecret };
  }

  async get(id: string): Promise<Subject> {
    const found = await this.#parts.directory.find(id);
    if (found?.kind === "service") return found;
    throw new BiplaneError("not_found", {
      what: "There is no such key.",
      next: "List them: biplane get apikey",
    });
  }

  page(after: string, limit: number): Promise<readonly Subject[]> {
    return this.#parts.directory.page("service", after, limit);
  }

  /** Its tokens are denied in the transaction that deletes it. */
  async remove(id: string): Promise<void> {
    const { org, directory, revocations, clock, policy } = this.#parts;
    await this.get(id);
    await policy.change(async (transaction) => {
      await revocations.keepOut(transaction, id);
      const keeping = { transaction, org, nowMs: clock.now() };
      await keepAdministrator(keeping, () => directory.remove(transaction, id));
    });
  }
}

function grantOf({ role, project, domain }: NewApiKey): RoleGrant | undefined {
  if (role === "") return undefined;
  return {
    role,
    ...(project === "" ? {} : { project: parseProjectId(project) }),
    ...(domain === "" ? {} : { domain: parseDomainId(domain) }),
  };
}

function requireEnd(expiresAtMs: number, now: number): number {
  if (expiresAtMs > now && expiresAtMs <= now + lifetimeMsMax) return expiresAtMs;
  throw new BiplaneError("invalid_argument", {
    what: "The key can't end then.",
    why: "It has to end in the future, within 366 days.",
    next: "Make a new key before the old one ends.",
  });
}

const flushMs = 30_000;

/** When keys were last used. Written in batches: a write for each request would cost more than the request. */
export class LastUses {
  readonly #directory: Directory;
  readonly #clock: Clock;
  readonly #timer: NodeJS.Timeout;
  #uses = new Map<string, number>();

  constructor(directory: Directory, clock: Clock, log: Logger) {
    this.#directory = directory;
    this.#clock = clock;
    const report = (error: unknown) =>
      log.error({ event: "last_use_failed", error }, "uses of keys could not be written");
    this.#timer = setInterval(() => void this.flush().catch(report), flushMs).unref();
  }

  note(subject: string): void {
    this.#uses.set(subject, this.#clock.now());
  }

  async flush(): Promise<void> {
    if (this.#uses.size === 0) return;
    const uses = this.#uses;
    this.#uses = new Map();
    await this.#directory.noteUse(uses);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}

/**
 * Membership, kept in the home cluster: who may join by which code, whose intermediates the root signs, and the signed
 * list that says so (claims TLS-4, FLOW-6). Each change and the list that tells of it are one transaction.
 */
import { createHash, X509Certificate } from "node:crypto";
import { BiplaneError, type ClusterId, day, minute, type OrgId, second } from "@biplane/base";
import {
  type ClusterListContent,
  clusterUri,
  type ListedCluster,
  type ListedRoot,
  listedKeys,
  memberStatementMs,
  memberStatementType,
  type PublicKeys,
  type SignedContent,
} from "@biplane/identity";
import { fingerprint } from "@biplane/kit/certificates";
import type { Clock } from "@biplane/kit/clock";
import { type OpenedStatement, openStatement } from "@biplane/kit/cluster-statements";
import type { Database } from "@biplane/kit/database";
import type { Transaction } from "kysely";
import { z } from "zod";
import type { Documents } from "../documents/documents.ts";
import type { Predecessor } from "../identity/certificates.ts";
import type { OrganizationRoot } from "../identity/root.ts";
import type { Sealing } from "../identity/sealing.ts";
import type { DataSchema } from "../store/schema.ts";
import { type JoinCode, newSecret, writeJoinCode } from "./join-code.ts";
import { type Places, requireFreePlaces, withinCluster } from "./places.ts";

type Transacting = Transaction<DataSchema>;

export interface MembersParts {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly database: Database<DataSchema>;
  readonly sealing: Sealing;
  readonly documents: Documents;
  readonly rootPem: string;
  /** Where the root took another one's place. */
  readonly predecessor: Predecessor | undefined;
  /** The home cluster's own entry, as it is now. */
  readonly own: () => ListedCluster;
  /** The root's key is read for each signature, and forgotten after it. */
  readonly readRoot: () => Promise<OrganizationRoot>;
  readonly clock: Clock;
}

export const joinCodeMs = { usual: 60 * minute, most: 7 * day } as const;

const statementSchema = z.strictObject({
  org: z.string(),
  cluster: z.string(),
  region: z.string().max(255),
  request: z.base64url().max(8_192),
  taskKeys: listedKeys,
  iat: z.number(),
});

interface Member {
  readonly entry: ListedCluster;
  /** Fingerprint of the certificate that its last update was signed by: whose answer may have been lost. */
  readonly before?: string | undefined;
  /** Fingerprint of the root that its intermediate is under. */
  readonly root?: string | undefined;
}

export interface Admission {
  readonly certificatePem: string;
  /** Signed, with the new cluster in it. */
  readonly list: string;
}

export class Members {
  readonly #parts: MembersParts;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(parts: MembersParts) {
    this.#parts = parts;
  }

  /** Signs the list as it is now: at the start, and when this cluster has other keys or another root. */
  async publish(): Promise<void> {
    await this.#change(async () => {});
  }

  /** Codes bring the root of the day when they were made. */
  async forgetAllCodes(): Promise<void> {
    await this.#run((transaction) =>
      transaction.deleteFrom("join_codes").where("org_id", "=", this.#parts.org).execute(),
    );
  }

  /** Members whose intermediate is still under the root before. */
  laggards(): Promise<string[]> {
    return this.#run(async (transaction) => laggardsOf(await this.#all(transaction), this.#parts.rootPem));
  }

  async createCode(wanted: { cluster: ClusterId; places: Places; expiresAtMs: number | undefined }): Promise<{
    code: JoinCode;
    text: ReturnType<typeof writeJoinCode>;
    expiresAtMs: number;
  }> {
    const { org, clock, rootPem, own } = this.#parts;
    const { cluster, places } = wanted;
    const now = clock.now();
    const expiresAtMs = wanted.expiresAtMs ?? now + joinCodeMs.usual;
    if (expiresAtMs <= now || expiresAtMs > now + joinCodeMs.most) throw lifetime();
    if (cluster === this.#parts.cluster) throw itself(cluster);
    const code = { org, cluster, home: own().router, rootPem, secret: newSecret() };
    await this.#run(async (transaction) => {
      requireFreePlaces(places, [own(), ...(await this.#entries(transaction))], cluster);
      await this.#forgetCodes(transaction, cluster);
      const hash = this.#hash(code.secret.reveal());
      await transaction
        .insertInto("join_codes")
        .values({
          org_id: org,
          code_hash: hash,
          cluster,
          places: this.#parts.sealing.seal("join_codes", "places", hash, places),
          expires_at_ms: expiresAtMs,
          request_hash: null,
        })
        .execute();
    });
    return { code, text: writeJoinCode(code), expiresAtMs };
  }

  /** Uses the code up and signs. The request that used it is answered again, for its answer may have been lost. */
  async admit(asked: {
    secret: Uint8Array;
    cluster: ClusterId;
    region: string;
    request: Uint8Array;
    taskKeys: string;
  }): Promise<Admission> {
    const { cluster, region } = asked;
    const taskKeys = parseKeys(asked.taskKeys);
    const { result: certificatePem, list } = await this.#change(async (transaction) => {
      const places = await this.#redeem(transaction, asked);
      const certificatePem = await this.#sign(asked.request, cluster, places);
      const entry = { name: cluster, region, ...places, fingerprint: fingerprint(certificatePem), taskKeys };
      await this.#write(transaction, { entry, root: fingerprint(this.#parts.rootPem) });
      return certificatePem;
    });
    return { certificatePem, list };
  }

  /** A joined cluster says, under its present intermediate, that it has other keys. */
  async update(cluster: ClusterId, text: string): Promise<{ certificatePem: string | undefined }> {
    const { statement, signer, root } = await this.#readStatement(cluster, text);
    const { result } = await this.#change(async (transaction) => {
      const member = (await this.#all(transaction)).find(({ entry }) => entry.name === cluster);
      // Its certificate may be in date for long after it was taken off the list, or replaced by another.
      const known = [member?.entry.fingerprint, member?.before];
      if (member === undefined || !known.includes(fingerprint(signer))) throw notListed(cluster);
      const { entry } = member;
      const request = Buffer.from(statement.request, "base64url");
      const certificatePem = request.length === 0 ? undefined : await this.#sign(request, cluster, entry);
      const { region, taskKeys } = statement;
      const renewed = certificatePem === undefined ? {} : { fingerprint: fingerprint(certificatePem) };
      const before = fingerprint(signer);
      await this.#write(transaction, { entry: { ...entry, region, taskKeys, ...renewed }, before, root });
      return { certificatePem };
    });
    return result;
  }

  /**
   * This cluster was restored from an older copy, and its own later list has come back: who joined since then stays a
   * member, and what is signed from now on is newer than what the others hold.
   */
  async adopt({ head, content }: SignedContent<ClusterListContent>): Promise<void> {
    await this.#change(async (transaction) => {
      const further = content.clusters.filter(({ name }) => name !== this.#parts.cluster);
      // Which of them changed to the present root is known only if all had; the others say so again.
      const { root: listed } = content;
      const { rootPem } = this.#parts;
      const isEverywhere = listed?.isEverywhere === true && listed.certificate === base64Of(rootPem);
      const root = isEverywhere ? fingerprint(rootPem) : undefined;
      for (const entry of further) await this.#write(transaction, { entry, root });
    }, head.version);
  }

  async remove(cluster: ClusterId): Promise<void> {
    if (cluster === this.#parts.cluster) throw itself(cluster);
    await this.#change(async (transaction) => {
      await this.#forgetCodes(transaction, cluster);
      const removed = await transaction
        .deleteFrom("clusters")
        .where((where) => where.and({ org_id: this.#parts.org, name: cluster }))
        .executeTakeFirst();
      if (removed.numDeletedRows === 0n) throw notListed(cluster);
    });
  }

  #change<T>(
    work: (transaction: Transacting) => Promise<T>,
    versionsSeen = 0,
  ): Promise<{ result: T; list: string }> {
    const changed = this.#changing.then(() => this.#changeNow(work, versionsSeen));
    this.#changing = changed.catch(() => {});
    return changed;
  }

  async #changeNow<T>(
    work: (transaction: Transacting) => Promise<T>,
    versionsSeen: number,
  ): Promise<{ result: T; list: string }> {
    const { documents, own } = this.#parts;
    const { result, issued } = await this.#run(async (transaction) => {
      const result = await work(transaction);
      const members = await this.#all(transaction);
      const root = this.#listedRoot(members);
      const clusters = [own(), ...members.map(({ entry }) => entry)];
      const content = root === undefined ? { clusters } : { root, clusters };
      const issued = await documents.issue(transaction, "clusters", content, versionsSeen);
      return { result, issued };
    });
    issued.announce();
    return { result, list: issued.jws };
  }

  #listedRoot(members: readonly Member[]): ListedRoot | undefined {
    const { rootPem, predecessor } = this.#parts;
    if (predecessor === undefined) return undefined;
    const { crossPem, isOver } = predecessor;
    const isEverywhere = laggardsOf(members, rootPem).length === 0;
    return { certificate: base64Of(rootPem), cross: base64Of(crossPem), isEverywhere, isOver };
  }

  #run<T>(work: (transaction: Transacting) => Promise<T>): Promise<T> {
    return this.#parts.database.asOrg(this.#parts.org, work);
  }

  async #entries(transaction: Transacting): Promise<ListedCluster[]> {
    return (await this.#all(transaction)).map(({ entry }) => entry);
  }

  async #all(transaction: Transacting): Promise<Member[]> {
    const { org, sealing } = this.#parts;
    const rows = await transaction
      .selectFrom("clusters")
      .select(["name", "entry"])
      .where("org_id", "=", org)
      .orderBy("name")
      .execute();
    return rows.map(({ name, entry }) => sealing.open<Member>("clusters", "entry", name, entry));
  }

  async #write(transaction: Transacting, member: Member): Promise<void> {
    const { org, sealing, clock } = this.#parts;
    const { entry } = member;
    const sealed = sealing.seal("clusters", "entry", entry.name, member);
    await transaction
      .insertInto("clusters")
      .values({ org_id: org, name: entry.name, entry: sealed, joined_at_ms: clock.now() })
      .onConflict((conflict) => conflict.columns(["org_id", "name"]).doUpdateSet({ entry: sealed }))
      .execute();
  }

  async #redeem(
    transaction: Transacting,
    { secret, cluster, request }: { secret: Uint8Array; cluster: ClusterId; request: Uint8Array },
  ): Promise<Places> {
    const { org, sealing, clock } = this.#parts;
    const hash = this.#hash(secret);
    const requestHash = createHash("sha256").update(request).digest("base64url");
    const row = await transaction
      .updateTable("join_codes")
      .set({ request_hash: requestHash })
      .where((where) => where.and({ org_id: org, code_hash: hash, cluster }))
      .where("expires_at_ms", ">", clock.now())
      .where((where) =>
        where.or([where("request_hash", "is", null), where("request_hash", "=", requestHash)]),
      )
      .returning("places")
      .executeTakeFirst();
    if (row === undefined) throw codeRefused();
    return sealing.open<Places>("join_codes", "places", hash, row.places);
  }

  async #forgetCodes(transaction: Transacting, cluster: string): Promise<void> {
    const { org, clock } = this.#parts;
    await transaction
      .deleteFrom("join_codes")
      .where("org_id", "=", org)
      .where((where) => where.or([where("cluster", "=", cluster), where("expires_at_ms", "<", clock.now())]))
      .execute();
  }

  async #sign(request: Uint8Array, cluster: ClusterId, places: Places): Promise<string> {
    const root = await this.#parts.readRoot();
    try {
      return await root.signCluster(request, { org: this.#parts.org, cluster }, withinCluster(places));
    } catch (cause) {
      throw new BiplaneError("invalid_argument", "The certificate request can't be read.", { cause });
    }
  }

  async #readStatement(cluster: ClusterId, text: string) {
    const { org, clock } = this.#parts;
    const { opened, root } = await this.#openStatement(cluster, text);
    if (opened.kind === "refused") throw statementRefused(opened.why, opened.cause);
    const parsed = statementSchema.safeParse(opened.payload);
    if (!parsed.success) throw statementRefused("Its form is another one.", parsed.error);
    const statement = parsed.data;
    if (statement.org !== org || statement.cluster !== cluster) {
      throw statementRefused("It is about another cluster.");
    }
    if (Math.abs(clock.now() - statement.iat * second) > memberStatementMs) {
      throw statementRefused("It was made at another time; the clocks of both sides may differ.");
    }
    return { statement, signer: opened.signer.toString(), root };
  }

  /**
   * A member that has not changed to the present root yet states so under the one before. Whatever it states later shows
   * by the signer which root its own servers go by.
   */
  async #openStatement(cluster: ClusterId, text: string): Promise<{ opened: OpenedStatement; root: string }> {
    const { org, rootPem, predecessor, clock } = this.#parts;
    const trust = { type: memberStatementType, signerUri: clusterUri(org, cluster), nowMs: clock.now() };
    const under = async (pem: string) => ({
      opened: await openStatement(text, { ...trust, root: new X509Certificate(pem).raw }),
      root: fingerprint(pem),
    });
    const now = await under(rootPem);
    if (now.opened.kind === "open" || predecessor === undefined || predecessor.isOver) return now;
    return under(predecessor.rootPem);
  }

  #hash(secret: Uint8Array): string {
    return this.#parts.sealing.hash("join code", Buffer.from(secret).toString("base64url"));
  }
}

function laggardsOf(members: readonly Member[], rootPem: string): string[] {
  const root = fingerprint(rootPem);
  return members.filter((member) => member.root !== root).map(({ entry }) => entry.name);
}

function base64Of(pem: string): string {
  return new X509Certificate(pem).raw.toString("base64");
}

function parseKeys(text: string): PublicKeys {
  try {
    return z.strictObject({ keys: listedKeys.min(1) }).parse(JSON.parse(text)).keys;
  } catch (cause) {
    throw new BiplaneError("invalid_argument", "The keys of the cluster's tasks can't be read.", { cause });
  }
}

function codeRefused(): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: "The join code does not work.",
      why: "It was used, it expired, was replaced, or is for another cluster.",
      next: "Ask an administrator of the organization for a new one: biplane create cluster.",
    },
    { reason: "join_code" },
  );
}

function statementRefused(why: string, cause?: unknown): BiplaneError {
  const text = { what: "The cluster's statement is not believed.", why };
  return new BiplaneError("permission_denied", text, { cause, reason: "member_statement" });
}

function notListed(cluster: string): BiplaneError {
  return new BiplaneError(
    "not_found",
    {
      what: `The organization has no such cluster ${cluster}, or its certificate was replaced.`,
      next: "List them: biplane get cluster. To join again: biplane create cluster.",
    },
    { reason: "not_listed" },
  );
}

function itself(cluster: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `${cluster} is the home cluster.`,
    why: "It has the organization's root; it neither joins nor leaves.",
    next: "Choose another name.",
  });
}

function lifetime(): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: "The join code would end in the past, or too late.",
    why: "It works for seven days at most.",
  });
}

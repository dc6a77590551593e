/**
 * Intents of the control plane (rule of state 5): references to what this data plane already holds. Each is checked
 * against the run document; what does not match is refused by name and starts nothing.
 */
import { limits, type RunId, rootAction } from "@biplane/base";
import { type Intent, IntentOutcome, nonceBytes, Phase } from "@biplane/control-wire";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { readRun } from "../store/run-rows.ts";
import type { Engine } from "./engine.ts";
import { parseRunRef } from "./run-ref.ts";
import type { RunState } from "./state.ts";
import { failed } from "./transitions.ts";
import type { IntentHandler } from "./types.ts";

interface Reason {
  readonly code: string;
  readonly message: string;
}

/** Refusals after which the run can't start any more, and what its failure says. */
const fatalRefusals: ReadonlyMap<IntentOutcome, Reason> = new Map([
  [
    IntentOutcome.DOCUMENT_MISSING,
    { code: "document_missing", message: "What was submitted for this run is no longer stored here." },
  ],
  [
    IntentOutcome.DIGEST_MISMATCH,
    {
      code: "digest_mismatch",
      message: "The control plane asked for another document than the submitted one.",
    },
  ],
  [
    IntentOutcome.WRONG_CLUSTER,
    {
      code: "wrong_cluster",
      message: "The control plane asked this cluster to run it in the name of another one.",
    },
  ],
  [
    IntentOutcome.REPLAYED,
    { code: "intent_replayed", message: "The control plane used an old message again to start this run." },
  ],
  [
    IntentOutcome.EXPIRED,
    {
      code: "intent_expired",
      message:
        "The control plane asked for this run with messages that had expired. " +
        "Compare the clocks of data plane and control plane, then submit again.",
    },
  ],
  [
    IntentOutcome.SUBJECT_MISMATCH,
    {
      code: "subject_mismatch",
      message: "The control plane named another person than the one who submitted it.",
    },
  ],
  [
    IntentOutcome.WRONG_ORGANIZATION,
    {
      code: "wrong_organization",
      message: "The control plane asked for it in the name of another organization.",
    },
  ],
  [
    IntentOutcome.LIVES_TOO_LONG,
    {
      code: "intent_lives_too_long",
      message: "The control plane asked for it with a message that hardly ever expires.",
    },
  ],
]);
const nameMismatch: Reason = {
  code: "name_mismatch",
  message: "The control plane asked for what was submitted here under another name or in another project.",
};

/** One may have waited in a buffer while this machine slept, and a newer one follows it; clocks apart never end. */
const expiredIntentsMax = 3;

export class Intents implements IntentHandler {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async acceptIntent(intent: Intent): Promise<IntentOutcome> {
    const { org } = this.#engine.options;
    if (intent.run?.org !== org) return this.#refuseOrganization(intent);
    const id = parseRunRef(intent.run);
    if (id === undefined) return this.#refuseName(intent);
    const known = this.#askedFor(id);
    if (known === undefined) return this.#judgeClosed(id, intent);
    // A client waits for its admission, which is on the way to the disk: nothing here may come between the two.
    if (known.committed !== known.record) await this.#engine.commit();
    const { record, taskSpecDigest, runSpecDigest } = known.stored;
    const present = await this.#engine.documents.arePresent(id.project, [
      record.documentDigest,
      taskSpecDigest,
      runSpecDigest,
    ]);
    this.#engine.requireUsable();
    const run = this.#askedFor(id);
    if (run === undefined) return this.#judgeClosed(id, intent);
    const outcome = present ? this.#judge(run, intent) : IntentOutcome.DOCUMENT_MISSING;
    if (outcome === IntentOutcome.ACCEPTED) this.#accept(run, intent);
    else this.#failVisibly(run, outcome);
    await this.#engine.commit();
    return outcome;
  }

  /** An intent follows an admission: one for a run without it means a withdrawn run that had the name before. */
  #askedFor(id: RunId): RunState | undefined {
    const run = this.#engine.openRun(id);
    return run?.stored.granted === true ? run : undefined;
  }

  /** Withdrawn, ended, or never known here. */
  async #judgeClosed(id: RunId, intent: Intent): Promise<IntentOutcome> {
    if (intent.cluster !== this.#engine.options.cluster) return IntentOutcome.WRONG_CLUSTER;
    const { database, org } = this.#engine.options;
    const stored = await database.asOrg(org, (transaction) => readRun(transaction, this.#engine.sealer, id));
    if (stored === undefined) return this.#refuseName(intent);
    if (stored.record.admission === "withdrawn" || !stored.granted) return IntentOutcome.WITHDRAWN;
    const repeated = stored.fence === intent.fence && matches(stored.record.documentDigest, intent);
    return repeated ? IntentOutcome.REPLAYED : IntentOutcome.RUN_ENDED;
  }

  #judge(run: RunState, intent: Intent): IntentOutcome {
    const { record, fence } = run.stored;
    if (intent.cluster !== this.#engine.options.cluster) return IntentOutcome.WRONG_CLUSTER;
    if (!matches(record.documentDigest, intent)) return IntentOutcome.DIGEST_MISMATCH;
    if (intent.createdBy !== record.createdBy) return IntentOutcome.SUBJECT_MISMATCH;
    if (fence > 0n && intent.fence === fence) return IntentOutcome.ACCEPTED;
    if (!run.isOpen) return IntentOutcome.RUN_ENDED;
    if (intent.fence <= fence) return IntentOutcome.STALE_FENCE;
    if (intent.expiresAt === undefined || timestampMs(intent.expiresAt) <= this.#engine.now()) {
      return IntentOutcome.EXPIRED;
    }
    const leftMs = timestampMs(intent.expiresAt) - this.#engine.now();
    if (leftMs > limits.intentLifetimeMsMax) return IntentOutcome.LIVES_TOO_LONG;
    const isFresh = intent.nonce.length === nonceBytes && !this.#engine.nonces.has(hex(intent.nonce));
    return isFresh ? IntentOutcome.ACCEPTED : IntentOutcome.REPLAYED;
  }

  #accept(run: RunState, intent: Intent): void {
    const engine = this.#engine;
    if (run.stored.fence === intent.fence) return;
    const wasStarted = run.isStarted;
    const used = {
      nonce: hex(intent.nonce),
      run: run.record,
      fence: intent.fence,
      expiresAtMs: timestampMs(intent.expiresAt!),
    };
    engine.nonces.set(used.nonce, used);
    engine.committer.batch.nonces.push(used);
    engine.changeRun(run, { fence: intent.fence });
    const root = run.actions.get(rootAction);
    if (!wasStarted && root?.isWaiting) engine.makeReady(root);
  }

  async #refuseOrganization({ run }: Intent): Promise<IntentOutcome> {
    const { org } = this.#engine.options;
    const id = run === undefined ? undefined : parseRunRef({ ...run, org });
    const named = id === undefined ? undefined : this.#askedFor(id);
    if (named !== undefined) this.#failVisibly(named, IntentOutcome.WRONG_ORGANIZATION);
    await this.#engine.commit();
    return IntentOutcome.WRONG_ORGANIZATION;
  }

  /** Nothing of this name is here. A digest stands for one run: what it was submitted as can't be asked for otherwise. */
  async #refuseName(intent: Intent): Promise<IntentOutcome> {
    for (const run of this.#engine.runs.values()) {
      if (run.stored.granted && matches(run.record.documentDigest, intent)) this.#fail(run, nameMismatch);
    }
    await this.#engine.commit();
    return IntentOutcome.DOCUMENT_MISSING;
  }

  /** A run that can't start is shown as failed, not left waiting; one that started is not disturbed. */
  #failVisibly(run: RunState, outcome: IntentOutcome): void {
    if (outcome === IntentOutcome.EXPIRED) run.expiredIntents += 1;
    const mayCome = outcome === IntentOutcome.EXPIRED && run.expiredIntents < expiredIntentsMax;
    const reason = mayCome ? undefined : fatalRefusals.get(outcome);
    if (reason !== undefined) this.#fail(run, reason);
  }

  #fail(run: RunState, reason: Reason): void {
    const root = run.actions.get(rootAction);
    if (root === undefined || run.isStarted || !root.isOpen) return;
    const engine = this.#engine;
    engine.changeRun(run, { record: { ...run.record, admission: "admitted" } });
    const failure = { ...reason, kind: "system", recoverable: false } as const;
    engine.changeAction(root, failed(root.record, Phase.FAILED, engine.now(), failure, false));
  }
}

function matches(digest: string, intent: Intent): boolean {
  return hex(intent.documentDigest) === digest;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

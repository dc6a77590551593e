/** What a control plane may say in place of an honest intent (claims TRUST-2, TRUST-3), and what has to become of it. */
import { randomBytes } from "node:crypto";
import {
  type ConnectResponse,
  ConnectResponseSchema,
  type Intent,
  IntentSchema,
} from "@biplane/control-wire";
import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Known } from "./known.ts";

export interface IntentAttack {
  readonly claim: "TRUST-2" | "TRUST-3";
  /** Changes the honest intent of a run that was submitted just now. */
  change(intent: Intent, known: Known): Promise<void> | void;
  /** Reason in the data plane's audit log. */
  readonly audited: string;
  /** What the user reads as the run's error. */
  readonly shown: RegExp;
}

const day = 86_400_000;
const named = (intent: Intent, change: Partial<NonNullable<Intent["run"]>>) => {
  Object.assign(intent.run!, change);
};

export const intentAttacks: Readonly<Record<string, IntentAttack>> = {
  "an unknown digest": {
    claim: "TRUST-2",
    change: (intent) => {
      intent.documentDigest = new Uint8Array(randomBytes(32));
    },
    audited: "digest_mismatch",
    shown: /another document than the submitted one/,
  },
  "another run's digest": {
    claim: "TRUST-2",
    change: async (intent, known) => {
      intent.documentDigest = (await earlierIntent(known, intent)).documentDigest;
    },
    audited: "digest_mismatch",
    shown: /another document than the submitted one/,
  },
  "another cluster": {
    claim: "TRUST-2",
    change: (intent) => {
      intent.cluster = "elsewhere";
    },
    audited: "wrong_cluster",
    shown: /in the name of another one/,
  },
  "another organization": {
    claim: "TRUST-2",
    change: (intent) => named(intent, { org: "other" }),
    audited: "wrong_organization",
    shown: /in the name of another organization/,
  },
  "a changed name": {
    claim: "TRUST-2",
    change: (intent) => named(intent, { name: "renamed" }),
    audited: "document_missing",
    shown: /under another name or in another project/,
  },
  "a changed project": {
    claim: "TRUST-2",
    change: (intent) => named(intent, { project: "elsewhere" }),
    audited: "document_missing",
    shown: /under another name or in another project/,
  },
  "a changed acting user": {
    claim: "TRUST-2",
    change: (intent) => {
      intent.createdBy = "mallory";
    },
    audited: "subject_mismatch",
    shown: /named another person/,
  },
  "an expired intent, again and again": {
    claim: "TRUST-3",
    change: (intent) => {
      intent.expiresAt = timestampFromMs(Date.now() - day);
    },
    audited: "expired",
    shown: /messages that had expired/,
  },
  "an intent that hardly ever expires": {
    claim: "TRUST-3",
    change: (intent) => {
      intent.expiresAt = timestampFromMs(Date.now() + day);
    },
    audited: "lives_too_long",
    shown: /hardly ever expires/,
  },
  "the nonce of an earlier intent": {
    claim: "TRUST-3",
    change: async (intent, known) => {
      intent.nonce = (await earlierIntent(known, intent)).nonce;
    },
    audited: "replayed",
    shown: /used an old message again/,
  },
};

/** Beside the honest ones: an intent for a run that nobody submitted. */
export function intentOfNobody(honest: Intent): ConnectResponse {
  const value = clone(IntentSchema, honest);
  named(value, { name: "never-submitted" });
  value.documentDigest = new Uint8Array(randomBytes(32));
  value.nonce = new Uint8Array(randomBytes(16));
  return create(ConnectResponseSchema, { message: { case: "intent", value } });
}

/** One that was obeyed: the honest ones before it were. */
async function earlierIntent(known: Known, than: Intent): Promise<Intent> {
  const found = known.intents().find(({ run }) => run?.name !== than.run?.name && run?.org === known.org);
  if (found === undefined) throw new Error("No intent went down before.");
  return found;
}

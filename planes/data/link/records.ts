/** What the link writes into the audit log: what came from the control plane, and what this data plane made of it. */
import type { AuditCode, AuditDecision } from "@biplane/audit";
import type { BiplaneError } from "@biplane/base";
import { type Intent, IntentOutcome, LinkService, type RunRef } from "@biplane/control-wire";
import type { border } from "@biplane/data-wire";
import { type AuditInput, eventOf } from "@biplane/kit/audit-log";

/** Each resolves once it is on disk. */
export interface LinkRecords {
  connected(): Promise<void>;
  disconnected(reason: string): Promise<void>;
  rolledBack(): Promise<void>;
  /** Of the message nothing is taken over: it may hold anything. The border ledger has it. */
  refused(error: BiplaneError): Promise<void>;
  intentAnswered(intent: Intent, outcome: IntentOutcome): Promise<void>;
  sealed(seal: border.LedgerSeal): Promise<void>;
}

interface Details {
  readonly subject?: string;
  readonly run?: RunRef | undefined;
  readonly reason?: string;
}

const method = `${LinkService.typeName}/Connect`;

interface Recorder {
  record(event: AuditInput): Promise<void>;
}

/** `refusals`: for what the control plane may send without end, so that it can't fill the log. */
export function createLinkRecords(log: Recorder, refusals: Recorder): LinkRecords {
  const write = (code: AuditCode, decision: AuditDecision, { run, ...details }: Details = {}) =>
    (decision === "allowed" ? log : refusals).record(
      eventOf(code, { decision, method, ...details, ...runFields(run) }),
    );
  return {
    connected: () => write("LINK_CONNECTED", "allowed"),
    disconnected: (reason) => write("LINK_DISCONNECTED", "allowed", { reason }),
    rolledBack: () => write("LINK_ROLLED_BACK", "allowed", { reason: "cursor_behind" }),
    refused: ({ code, reason }) => write("LINK_REFUSED", "refused", { reason: reason ?? code }),
    intentAnswered: ({ run, createdBy }, outcome) =>
      outcome === IntentOutcome.ACCEPTED
        ? write("INTENT_ACCEPTED", "allowed", { run, subject: createdBy })
        : write("INTENT_REFUSED", "refused", {
            run,
            subject: createdBy,
            reason: IntentOutcome[outcome].toLowerCase(),
          }),
    sealed: ({ firstSequence, lastSequence, sha256 }) =>
      write("BORDER_SEALED", "allowed", {
        reason: `${firstSequence}-${lastSequence} sha256:${Buffer.from(sha256).toString("hex")}`,
      }),
  };
}

function runFields(run: RunRef | undefined): Partial<Pick<AuditInput, "project" | "domain" | "run">> {
  return run === undefined ? {} : { project: run.project, domain: run.domain, run: run.name };
}

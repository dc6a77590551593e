/**
 * Texts that people and programs wrote into a run's records: why something failed or was aborted. They are sealed under
 * the project's key before they enter a record, and opened for whoever reads details, so that records, their lists and
 * their watches do not depend on the customer's key (claim CMK-1).
 */
import { cutText, limits, type RunId } from "@biplane/base";
import type { ProjectPlace, ProjectSealer } from "../store/project-sealing.ts";
import type {
  AbortInfo,
  ActionFailure,
  ActionRecord,
  RecordedAbort,
  RecordedFailure,
  Text,
} from "./types.ts";

/** Stands where the key was disabled at the moment when the text came. */
const notKept = "This text could not be kept: the key of its project was disabled when it came.";

export class Texts {
  readonly #sealer: ProjectSealer;

  constructor(sealer: ProjectSealer) {
    this.#sealer = sealer;
  }

  async sealFailure(run: RunId, failure: ActionFailure): Promise<RecordedFailure> {
    const code = cutText(failure.code, limits.errorCodeBytesMax);
    const message = cutText(failure.message, limits.errorMessageBytesMax);
    return { ...failure, code, message: await this.#seal(run, "failure", message) };
  }

  async sealAbort(run: RunId, abort: AbortInfo): Promise<RecordedAbort> {
    return { ...abort, reason: await this.#seal(run, "abort", abort.reason) };
  }

  /** The record with its texts to be read. Refused with reason `key_disabled`. */
  async open(record: ActionRecord): Promise<ActionRecord> {
    const { failure, abort } = record;
    const attempts = record.attempts.map(async (attempt) => ({
      ...attempt,
      failure: await this.#openFailure(record, attempt.failure),
    }));
    return {
      ...record,
      attempts: await Promise.all(attempts),
      failure: await this.#openFailure(record, failure),
      abort: abort && { ...abort, reason: await this.#open(record, "abort", abort.reason) },
    };
  }

  /** What happened must be recorded even where what was said of it can't be. */
  async #seal(run: RunId, kind: string, text: string): Promise<Text> {
    if (text === "") return text;
    try {
      const key = await this.#sealer.keyOf(run.project);
      const sealed = this.#sealer.seal(key, placeOf(run, kind), Buffer.from(text));
      return { sealed: Buffer.from(sealed).toString("base64") };
    } catch {
      return notKept;
    }
  }

  async #openFailure(run: RunId, failure: RecordedFailure | undefined): Promise<RecordedFailure | undefined> {
    return failure && { ...failure, message: await this.#open(run, "failure", failure.message) };
  }

  async #open(run: RunId, kind: string, text: Text): Promise<string> {
    if (typeof text === "string") return text;
    const opened = await this.#sealer.open(placeOf(run, kind), Buffer.from(text.sealed, "base64"));
    return Buffer.from(opened).toString();
  }
}

/** Bound to the run; the record that holds it is bound to its action by its own seal. */
function placeOf({ project, domain, run }: RunId, kind: string): ProjectPlace {
  return { table: "action", column: kind, row: [project, domain, run] };
}

/** Of a record that `Texts.open` gave. */
export function textOf(text: Text): string {
  return typeof text === "string" ? text : "";
}

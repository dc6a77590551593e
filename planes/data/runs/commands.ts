/**
 * Commands of the control plane: to end a run. Each works once and for a bounded time; its id is used up in the
 * transaction that carries it out, so that a repetition never meets a later run of the same name (claim TRUST-3).
 */
import { day, hour, isBiplaneError, type RunId } from "@biplane/base";
import { type Command, CommandOutcome } from "@biplane/control-wire";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Aborts } from "./aborts.ts";
import type { Engine } from "./engine.ts";
import { parseRunRef } from "./run-ref.ts";
import type { CommandHandler } from "./types.ts";

/** A longer life would have ids remembered for ever. */
const lifetimeMsMax = day + hour;
const idPattern = /^[A-Za-z0-9_-]{1,64}$/;

type Judged =
  | { readonly kind: "refused"; readonly outcome: CommandOutcome }
  | { readonly kind: "abort"; readonly run: RunId; readonly by: string; readonly expiresAtMs: number };

export class Commands implements CommandHandler {
  readonly #engine: Engine;
  readonly #aborts: Aborts;

  constructor(engine: Engine, aborts: Aborts) {
    this.#engine = engine;
    this.#aborts = aborts;
  }

  async obeyCommand(command: Command, allowed: () => Promise<void>): Promise<CommandOutcome> {
    const first = this.#judge(command);
    if (first.kind === "refused") return first.outcome;
    await allowed();
    this.#engine.requireUsable();
    // The same one may have come again meanwhile.
    const judged = this.#judge(command);
    if (judged.kind === "refused") return judged.outcome;
    this.#use(command.id, judged.run, judged.expiresAtMs);
    return this.#abort(judged.run, judged.by);
  }

  #judge({ id, expiresAt, command }: Command): Judged {
    const run = command.case === "abortRun" ? parseRunRef(command.value.run) : undefined;
    const by = command.value?.requestedBy ?? "";
    const isKnown = run?.org === this.#engine.options.org && by !== "" && idPattern.test(id);
    const leftMs = (expiresAt === undefined ? 0 : timestampMs(expiresAt)) - this.#engine.now();
    if (run === undefined || !isKnown || leftMs > lifetimeMsMax) return refused(CommandOutcome.REFUSED);
    if (leftMs <= 0) return refused(CommandOutcome.EXPIRED);
    if (this.#engine.nonces.has(nonceOf(id))) return refused(CommandOutcome.REPLAYED);
    return { kind: "abort", run, by, expiresAtMs: this.#engine.now() + leftMs };
  }

  #use(id: string, run: RunId, expiresAtMs: number): void {
    const used = { nonce: nonceOf(id), run, fence: 0n, expiresAtMs };
    this.#engine.nonces.set(used.nonce, used);
    this.#engine.committer.batch.nonces.push(used);
  }

  async #abort(run: RunId, by: string): Promise<CommandOutcome> {
    try {
      await this.#aborts.abortRun(run, { reason: "Asked for at the control plane.", by });
      await this.#engine.commit();
      return CommandOutcome.DONE;
    } catch (error) {
      if (!isBiplaneError(error, "not_found")) throw error;
      await this.#engine.commit();
      return CommandOutcome.NOT_FOUND;
    }
  }
}

function refused(outcome: CommandOutcome): Judged {
  return { kind: "refused", outcome };
}

/** Beside the nonces of intents, which are 32 hexadecimal digits. */
function nonceOf(id: string): string {
  return `command ${id}`;
}

/** How things are closed, and what makes a process end. */
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { BiplaneError } from "@biplane/base";
import type { Logger } from "./logging.ts";

/** Whatever runs until it is closed. Closing twice is harmless; closing waits for work under way. */
export interface Closeable {
  close(): Promise<void>;
}

/** Closes what was started, newest first, each once, and goes on when one fails. */
export class Closers implements Closeable {
  readonly #stack: Closeable[] = [];
  #closing: Promise<void> | undefined;

  add<T extends Closeable>(resource: T): T {
    this.#stack.push(resource);
    return resource;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const resource of this.#stack.reverse()) {
      try {
        await resource.close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "Some parts did not close.");
  }
}

export interface EndOptions {
  readonly graceMs?: number;
  /** Ends the process once this folder is gone or another stands in its place: it would serve what nobody has. */
  readonly stateFolder: string;
  /** Ends the process with its standard input, and so with whoever holds the other end, however that one ended. */
  readonly stopWithInput?: boolean | undefined;
}

type End =
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals }
  | { readonly kind: "input_ended" }
  | { readonly kind: "state_gone" };

const stateLookMs = 1_000;

/**
 * Runs until SIGINT or SIGTERM, or until what `options` name is gone, then closes; a further signal ends the process at
 * once. Throws where the state is gone.
 */
export async function runUntilEnd(resource: Closeable, log: Logger, options: EndOptions): Promise<void> {
  const stop = new AbortController();
  const end = await Promise.race([
    nextSignal(),
    stateGone(options.stateFolder, stop.signal),
    ...(options.stopWithInput === true ? [inputEnded(stop.signal)] : []),
  ]);
  stop.abort();
  log.info(
    { event: "closing", reason: end.kind, signal: end.kind === "signal" ? end.signal : undefined },
    "closing",
  );
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
  setTimeout(() => process.exit(1), options.graceMs ?? 10_000).unref();
  const closing = resource.close();
  if (end.kind !== "state_gone") return closing;
  // What can't be written any more fails; the cause is known.
  await closing.catch(() => undefined);
  throw new BiplaneError("unavailable", {
    what: `The state folder ${options.stateFolder} is gone, or another stands in its place.`,
    why: "A process that goes on without its state would acknowledge what nobody keeps.",
    next: "Stop a plane before its folder is moved, restored or deleted.",
  });
}

function nextSignal(): Promise<End> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const)
      process.once(name, (signal) => resolve({ kind: "signal", signal }));
  });
}

/** Whatever ends the process: an input that is still open would keep it up. */
function inputEnded(signal: AbortSignal): Promise<End> {
  signal.addEventListener("abort", () => process.stdin.destroy(), { once: true });
  return new Promise((resolve) => {
    const ended = () => resolve({ kind: "input_ended" });
    process.stdin.once("end", ended).once("error", ended).resume();
  });
}

async function stateGone(folder: string, signal: AbortSignal): Promise<End> {
  const before = await stat(folder);
  for (;;) {
    await sleep(stateLookMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return new Promise(() => {});
    const now = await stat(folder).catch(absence);
    if (now === "absent" || (now !== "unknown" && (now.ino !== before.ino || now.dev !== before.dev)))
      return { kind: "state_gone" };
  }
}

/** A disk that answers with an error now may answer again later; it is the stores that judge that. */
function absence(error: NodeJS.ErrnoException): "absent" | "unknown" {
  return error.code === "ENOENT" ? "absent" : "unknown";
}

/**
 * The order of a connection's messages, the same at both ends: what was recorded in another connection, or comes twice,
 * late or out of order, is told apart from the next message (claim TRUST-3).
 */
import { createHash } from "node:crypto";
import { BiplaneError } from "@biplane/base";

export const nonceBytes = 16;

/** What the first message of each direction bears, the hello alone: a session has two parents, and one is not there yet. */
const noSession = new Uint8Array();

export interface Ordered {
  sequence: bigint;
  session: Uint8Array;
}

/** The session of a connection: neither end alone decides it, so that neither can make an old one again. */
export function sessionOf(helloNonce: Uint8Array, welcomeNonce: Uint8Array): Uint8Array {
  const hash = createHash("sha256").update(helloNonce).update(welcomeNonce).digest();
  return new Uint8Array(hash.subarray(0, nonceBytes));
}

/** Numbers what one end sends. Begin a session once it is known; a hello goes before that. */
export class OutgoingOrder {
  #session: Uint8Array = noSession;
  #last = 0n;

  begin(session: Uint8Array): void {
    this.#session = session;
  }

  /** Call in the order in which messages leave. */
  stamp(message: Ordered): void {
    this.#last += 1n;
    message.sequence = this.#last;
    message.session = this.#session;
  }
}

/** Checks what one end receives. */
export class IncomingOrder {
  #session: Uint8Array = noSession;
  #last = 0n;

  begin(session: Uint8Array): void {
    this.#session = session;
  }

  /** Throws `failed_precondition` where the message is not the next one of this connection. */
  accept({ sequence, session }: Ordered): void {
    if (!Buffer.from(session).equals(this.#session))
      throw refused("foreign_session", "belongs to another connection");
    if (sequence <= this.#last) throw refused("message_replayed", "came before");
    if (sequence !== this.#last + 1n) throw refused("message_out_of_order", "is not the next one");
    this.#last = sequence;
  }
}

function refused(reason: string, why: string): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "A message of the link was refused.",
      why: `It ${why}.`,
      next: "Connect again; each connection has its own session and counts from 1.",
    },
    { reason },
  );
}

/**
 * Requests that end before anything of the control plane sees them, since they can't be read: of an unknown method, in
 * another form, with a broken body. Nothing happens by them; they are on record all the same (claim AUD-1).
 */
import { randomUUID } from "node:crypto";
import type { Clock, HttpRequest, HttpResponse, Logger } from "@biplane/kit";
import type { AuditInput } from "@biplane/kit/audit-log";
import { type ContextValues, createContextKey } from "@connectrpc/connect";
import { type Peer, peerContext, peerIn } from "../clusters/peer.ts";
import type { AuditLogs } from "./audit.ts";

interface Mark {
  isRead: boolean;
}

const markKey = createContextKey<Mark>({ isRead: true });
const methodCharactersMax = 200;

/** Called where a request has come as far as its audit record. */
export function markRead(values: ContextValues): void {
  values.get(markKey).isRead = true;
}

export class UnreadRequests {
  readonly #audit: AuditLogs;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #marks = new WeakMap<HttpRequest, Mark>();

  constructor(audit: AuditLogs, clock: Clock, log: Logger) {
    this.#audit = audit;
    this.#clock = clock;
    this.#log = log;
  }

  /** Before anything else is done with the request. */
  watch(request: HttpRequest, response: HttpResponse): void {
    const mark = { isRead: false };
    this.#marks.set(request, mark);
    const peer = peerIn(peerContext(request));
    const method = (request.url ?? "").slice(1, methodCharactersMax).split("?")[0] ?? "";
    response.once("close", () => {
      if (mark.isRead) return;
      this.#record(peer, method).catch((error: unknown) => {
        this.#log.error({ event: "audit_failed", error }, "a request that can't be read was not recorded");
      });
    });
  }

  context(request: HttpRequest): ContextValues {
    const mark = this.#marks.get(request);
    const values = peerContext(request);
    return mark === undefined ? values : values.set(markKey, mark);
  }

  async #record(peer: Peer, method: string): Promise<void> {
    const input: AuditInput = {
      ...{ atMs: this.#clock.now(), code: "REQUEST_REFUSED", decision: "refused", subject: "", method },
      ...{ requestId: randomUUID(), address: peer.address, addressFrom: "peer", reason: "unreadable" },
      ...(peer.kind === "cluster" ? { org: peer.org, cluster: peer.cluster } : {}),
    };
    if (peer.kind === "cluster") return (await this.#audit.of(peer.org)).record(input);
    return this.#audit.refusals.record(input);
  }
}

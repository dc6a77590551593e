/** What the router knows of one request, for the services behind it. */
import type { OrgId } from "@biplane/base";
import type { RpcRow } from "@biplane/classification";
import type { Resource } from "@biplane/identity";
import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Entrance, Principal } from "../identity/types.ts";

export interface Call {
  /** `package.Service/Method` */
  readonly method: string;
  readonly row: RpcRow;
  readonly org: OrgId;
  /** Undefined for anonymous methods only. */
  readonly principal: Principal | undefined;
  readonly entrance: Entrance;
  /** The client's, or one of ours. */
  readonly requestId: string;
  /** As the client sent it: a repeat of a request carries the same one (rule of state 2). */
  readonly clientRequestId: string | undefined;
  readonly address: string;
  /** Set once authorized. */
  resource: Resource | undefined;
  /** What else it names, where its row tells of something. */
  used?: Resource | undefined;
  /** Set once decided; resolves once the decision is on disk. */
  recorded?: Promise<void>;
  /** Whether the audit log has it, or is about to. */
  isRecorded?: true;
}

export const callKey = createContextKey<Call | undefined>(undefined, { description: "the router's call" });

export interface AuthorizedCall extends Call {
  readonly principal: Principal;
  readonly resource: Resource;
  readonly recorded: Promise<void>;
}

/** For services: who calls. Throws where the router's chain did not run, which would be a hole. */
export function authorizedCall(context: Pick<HandlerContext, "values">): AuthorizedCall {
  const call = context.values.get(callKey);
  if (call?.principal === undefined || call.resource === undefined || call.recorded === undefined) {
    throw new Error("A service was reached without authorization.");
  }
  return call as AuthorizedCall;
}

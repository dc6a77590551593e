/** Unary calls to the control plane in a principal's name: with a short-lived control token. */

import { BiplaneError } from "@biplane/base";
import { IndexService } from "@biplane/control-wire";
import { fromConnectError } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import type { ActingPrincipal, TokenIssuer } from "../identity/types.ts";
import { guardDown, guardUp } from "./guard.ts";

const callMsMax = 10_000;

export interface CallOptions {
  /** Asked for each call: a renewed certificate brings a new one. */
  readonly transport: () => Transport;
  readonly tokens: Pick<TokenIssuer, "controlToken">;
}

export function createIndexClient(
  options: CallOptions,
  principal: ActingPrincipal,
): Client<typeof IndexService> {
  return createClient(IndexService, actingFor(options, principal));
}

function actingFor({ transport, tokens }: CallOptions, principal: ActingPrincipal): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const request = create(method.input, input);
      // What a caller asks of the index are the caller's own words.
      guardUp(method.input, request, "invalid_argument");
      const headers = new Headers(header);
      headers.set("authorization", `Bearer ${(await tokens.controlToken(principal)).reveal()}`);
      try {
        const limitMs = timeoutMs ?? callMsMax;
        const response = await transport().unary(method, signal, limitMs, headers, request, contextValues);
        const { message } = response;
        guardDown(method.output, message);
        return response;
      } catch (error) {
        const failure = fromConnectError(error);
        throw isUnreachable(error) ? controlPlaneAway(failure) : error;
      }
    },
    stream(method, signal, timeoutMs, header, input, contextValues) {
      return transport().stream(method, signal, timeoutMs, header, input, contextValues);
    },
  };
}

/** Whether no answer came at all: what the network said would tell a client nothing but an address. */
function isUnreachable(error: unknown): boolean {
  const cause = error instanceof ConnectError ? error.cause : undefined;
  return typeof (cause as { code?: unknown } | undefined)?.code === "string";
}

function controlPlaneAway(cause: BiplaneError): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: "The control plane can't be reached.",
      why: "This cluster answers from its own state; what concerns the whole organization has to wait.",
      next: "Try again later.",
    },
    { cause, reason: "control_plane_away" },
  );
}

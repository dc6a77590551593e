/** Unary calls to the control plane in a subject's name: with a short-lived control token, and in the border ledger. */
import { IndexService } from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { fromConnectError } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import type { TokenIssuer } from "../identity/types.ts";
import { guardDown, guardUp } from "./guard.ts";
import type { BorderLedger } from "./ledger.ts";

const callMsMax = 10_000;

export interface CallOptions {
  /** Asked for each call: a renewed certificate brings a new one. */
  readonly transport: () => Transport;
  readonly tokens: Pick<TokenIssuer, "controlToken">;
  readonly ledger: BorderLedger;
}

export function createIndexClient(options: CallOptions, subject: string): Client<typeof IndexService> {
  return createClient(IndexService, actingFor(options, subject));
}

function actingFor({ transport, tokens, ledger }: CallOptions, subject: string): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const name = `${method.parent.typeName}/${method.name}`;
      const request = create(method.input, input);
      guardUp(method.input, request);
      const headers = new Headers(header);
      headers.set("authorization", `Bearer ${(await tokens.controlToken(subject)).reveal()}`);
      await ledger.record([
        { direction: border.Direction.UP, method: name, schema: method.input, message: request },
      ]);
      try {
        const limitMs = timeoutMs ?? callMsMax;
        const response = await transport().unary(method, signal, limitMs, headers, request, contextValues);
        const { message } = response;
        await ledger.record([
          { direction: border.Direction.DOWN, method: name, schema: method.output, message },
        ]);
        guardDown(method.output, message);
        return response;
      } catch (error) {
        await ledger.recordFailure(name, fromConnectError(error));
        throw error;
      }
    },
    stream(method, signal, timeoutMs, header, input, contextValues) {
      return transport().stream(method, signal, timeoutMs, header, input, contextValues);
    },
  };
}

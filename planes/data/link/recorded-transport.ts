/**
 * The only way to the control plane: an HTTP client that puts every call into the border ledger, bytes and headers, before
 * it is sent and before it is read. It stands below the protocol, so that no message can pass beside it (claim BORDER-1).
 */
import { randomBytes } from "node:crypto";
import { BiplaneError, limits } from "@biplane/base";
import {
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
} from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { BoundedQueue, type ClientTlsOptions, createObservedTransport, type HttpClient } from "@biplane/kit";
import { createRegistry, type DescMethod } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import type { BorderLedger, Crossing } from "./ledger.ts";
import { ledgerHeaders } from "./ledger-headers.ts";

type Request = Parameters<HttpClient>[0];
type Response = Awaited<ReturnType<HttpClient>>;

const registry = createRegistry(
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
);
/** Messages that wait for the ledger's disk together. */
const waitingMax = 64;
const endStreamFlag = 0b10;
const prefixBytes = 5;

export function createRecordedTransport(
  baseUrl: string,
  tls: ClientTlsOptions,
  ledger: Pick<BorderLedger, "record">,
): Transport {
  return createObservedTransport({ baseUrl, tls }, (client) => recorded(client, ledger));
}

function recorded(client: HttpClient, ledger: Pick<BorderLedger, "record">): HttpClient {
  return (request) => {
    const call = new RecordedCall(client, ledger, request);
    const isStream = request.header.get("content-type")?.startsWith("application/connect+") === true;
    return isStream ? call.stream() : call.unary();
  };
}

class RecordedCall {
  readonly #client: HttpClient;
  readonly #ledger: Pick<BorderLedger, "record">;
  readonly #request: Request;
  readonly #url: URL;
  readonly #method: DescMethod;
  readonly #id = randomBytes(8).toString("hex");

  constructor(client: HttpClient, ledger: Pick<BorderLedger, "record">, request: Request) {
    this.#client = client;
    this.#ledger = ledger;
    this.#request = request;
    this.#url = new URL(request.url);
    this.#method = methodAt(this.#url.pathname);
  }

  async unary(): Promise<Response> {
    const sent = await collect(this.#request.body);
    await this.#record([{ ...this.#up(this.#method.input.typeName, sent), ...this.#requestHead() }]);
    const response = await this.#client({ ...this.#request, body: once(sent) });
    const received = await collect(response.body);
    const type = response.status === 200 ? this.#method.output.typeName : "connect.Error";
    await this.#record([{ ...this.#down(type, received), ...responseHead(response) }]);
    return { ...response, body: once(received) };
  }

  async stream(): Promise<Response> {
    await this.#record([{ ...this.#up("", new Uint8Array()), ...this.#requestHead() }]);
    const { input, output } = this.#method;
    const body = this.#messages(this.#request.body ?? once(), (message) => this.#up(input.typeName, message));
    const response = await this.#client({ ...this.#request, body });
    await this.#record([{ ...this.#down("", new Uint8Array()), ...responseHead(response) }]);
    const received = this.#messages(response.body, (message, isEnd) =>
      this.#down(isEnd ? "connect.EndStream" : output.typeName, message),
    );
    return { ...response, body: received };
  }

  /** Passes messages on once they are on record; those that come together share a write. */
  async *#messages(
    source: AsyncIterable<Uint8Array>,
    describe: (message: Uint8Array, isEnd: boolean) => Crossing,
  ): AsyncGenerator<Uint8Array> {
    const queue = new BoundedQueue<Uint8Array>(waitingMax);
    const filling = fill(queue, source);
    // Read below, once what came before it has passed.
    filling.catch(() => undefined);
    try {
      for await (const group of queue.groups(waitingMax)) {
        await this.#record(
          group.map((enveloped) =>
            describe(enveloped.subarray(prefixBytes), (enveloped[0]! & endStreamFlag) !== 0),
          ),
        );
        yield* group;
      }
      await filling;
    } finally {
      queue.close();
    }
  }

  #record(crossings: readonly Crossing[]): Promise<void> {
    return this.#ledger.record(crossings);
  }

  #up(messageType: string, message: Uint8Array): Crossing {
    return { ...this.#crossing(messageType, message), direction: border.Direction.UP };
  }

  #down(messageType: string, message: Uint8Array): Crossing {
    return { ...this.#crossing(messageType, message), direction: border.Direction.DOWN };
  }

  #crossing(messageType: string, message: Uint8Array) {
    const method = `${this.#method.parent.typeName}/${this.#method.name}`;
    return { call: this.#id, method, messageType, message };
  }

  #requestHead(): Pick<Crossing, "headers"> {
    const { host, pathname } = this.#url;
    const pseudo = {
      ":authority": host,
      ":method": this.#request.method,
      ":path": pathname,
      ":scheme": "https",
    };
    return { headers: [...Object.entries(pseudo), ...ledgerHeaders(this.#request.header)] };
  }
}

function responseHead({ status, header }: Response): Pick<Crossing, "headers" | "status"> {
  return { status, headers: ledgerHeaders(header) };
}

function methodAt(path: string): DescMethod {
  const [, service = "", name = ""] = path.split("/");
  const method = registry.getService(service)?.methods.find((one) => one.name === name);
  if (method !== undefined) return method;
  throw new BiplaneError("internal", "A call is no part of the link's protocol.", { reason: "held_back" });
}

async function* once(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function collect(body: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > limits.linkMessageBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Puts whole messages with their prefixes into the queue, however the network cut them. */
async function fill(queue: BoundedQueue<Uint8Array>, source: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of source) {
      rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
      for (let end = endOfFirst(rest); end !== undefined; end = endOfFirst(rest)) {
        if (!(await queue.push(rest.subarray(0, end)))) return;
        rest = rest.subarray(end);
      }
    }
    if (rest.length > 0)
      throw new BiplaneError("unavailable", "The link was cut in the middle of a message.");
  } finally {
    queue.close();
  }
}

function endOfFirst(bytes: Buffer): number | undefined {
  if (bytes.length < prefixBytes) return undefined;
  const length = bytes.readUInt32BE(1);
  if (length > limits.linkMessageBytesMax) throw tooLarge();
  return bytes.length < prefixBytes + length ? undefined : prefixBytes + length;
}

function tooLarge(): BiplaneError {
  return new BiplaneError("resource_exhausted", "A message of the link is too large.", {
    reason: "message_too_large",
  });
}

/** What a control plane that was taken over has in its hands: its own keys, and everything that ever came by. */
import { type ConnectResponse, ConnectResponseSchema, type Intent } from "@biplane/control-wire";
import type { TlsIdentity } from "@biplane/kit";
import { clone } from "@bufbuild/protobuf";

export type MessageType = NonNullable<ConnectResponse["message"]["case"]>;

interface Sent {
  readonly connection: number;
  readonly message: ConnectResponse;
}

export class Known {
  readonly org: string;
  /** The provider's root, key and all. */
  readonly provider: TlsIdentity;
  /** Bearer tokens of every call. */
  readonly tokens = new Set<string>();
  readonly #sent: Sent[] = [];
  connection = 0;

  constructor(org: string, provider: TlsIdentity) {
    this.org = org;
    this.provider = provider;
  }

  /** What went down, as it went. */
  remember(message: ConnectResponse): void {
    this.#sent.push({ connection: this.connection, message: clone(ConnectResponseSchema, message) });
  }

  /** The newest message of this type that went down in the present connection, or in an earlier one; waits for one. */
  async recorded(type: MessageType, where: "this connection" | "an earlier one"): Promise<ConnectResponse> {
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
      const found = this.#sent.findLast(
        ({ connection, message }) =>
          message.message.case === type && (connection === this.connection) === (where === "this connection"),
      );
      if (found !== undefined) return clone(ConnectResponseSchema, found.message);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`No ${type} went down in ${where}.`);
  }

  /** All intents that went down, oldest first. */
  intents(): readonly Intent[] {
    return this.#sent.flatMap(({ message: { message } }) =>
      message.case === "intent" ? [message.value] : [],
    );
  }

  /** All signed documents that went down, oldest first. */
  documents(): { readonly kind: number; readonly jws: string }[] {
    return this.#sent.flatMap(({ message: { message } }) =>
      message.case === "document" ? [{ kind: message.value.kind, jws: message.value.jws }] : [],
    );
  }
}

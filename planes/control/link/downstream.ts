/**
 * What goes down one connection. Acknowledgements always find room, since a data plane has few batches under way;
 * everything else waits for it. So reading never waits for writing, and two full directions can't hold each other up.
 */
import { type ConnectResponse, ConnectResponseSchema, OutgoingOrder } from "@biplane/control-wire";
import { BoundedQueue, type Clock } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";

export type Message = ConnectResponse["message"];

const ordinaryMax = 512;
const reserve = 64;

export class Downstream {
  readonly #queue = new BoundedQueue<ConnectResponse>(ordinaryMax + reserve);
  readonly #clock: Clock;
  readonly #order = new OutgoingOrder();
  #takenAtMs: number;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#takenAtMs = clock.now();
  }

  /** Before the welcome is sent. */
  begin(session: Uint8Array): void {
    this.#order.begin(session);
  }

  /** False where even the reserve is full: the peer sends and never reads. */
  sendNow(message: Message): boolean {
    return this.#queue.tryPush(create(ConnectResponseSchema, { message }));
  }

  /** False where there is no room for what can be sent later. */
  sendIfRoom(message: Message): boolean {
    return this.#hasRoom && this.sendNow(message);
  }

  /** Waits for room; false where the connection ended first. One caller at a time. */
  async sendWhenRoom(message: Message): Promise<boolean> {
    while (!this.#hasRoom && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.sendNow(message);
  }

  async *messages(): AsyncGenerator<ConnectResponse> {
    for await (const message of this.#queue) {
      this.#order.stamp(message);
      yield message;
      this.#takenAtMs = this.#clock.now();
      this.#wake?.();
    }
  }

  /** How long something has been waiting without anything being taken; 0 where nothing waits. */
  stalledMs(): number {
    return this.#queue.length === 0 ? 0 : this.#clock.now() - this.#takenAtMs;
  }

  close(): void {
    this.#closed = true;
    this.#queue.close();
    this.#wake?.();
  }

  get #hasRoom(): boolean {
    return this.#queue.length < ordinaryMax;
  }
}

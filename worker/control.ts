/** The worker's end of the control socket, inherited as file descriptor 3. */
import { Socket } from "node:net";
import { limits } from "@biplane/base";
import * as worker from "@biplane/data-wire/gen/biplane/worker/v1/worker_pb.js";
import { frameMessage, MessageSplitter } from "@biplane/kit/framing";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

const descriptor = 3;
/** A start carries a bundle and inputs. */
const messageBytesMax = limits.bundleBytesMax + limits.requestBytesMax;

export type ToWorker = worker.ToWorker["message"];
type FromWorker = MessageInitShape<typeof worker.FromWorkerSchema>["message"];

export class ControlChannel {
  readonly #socket = new Socket({ fd: descriptor, readable: true, writable: true });

  /** Calls back for each message until the executor closes the socket; then the worker has nothing left to do. */
  listen(receive: (message: ToWorker) => void, closed: () => void): void {
    const splitter = new MessageSplitter(messageBytesMax);
    this.#socket.on("data", (chunk: Uint8Array) => {
      for (const bytes of splitter.push(chunk)) receive(fromBinary(worker.ToWorkerSchema, bytes).message);
    });
    this.#socket.on("error", closed);
    this.#socket.on("close", closed);
  }

  /** Resolves when the bytes were handed to the kernel. */
  send(message: FromWorker): Promise<void> {
    const bytes = toBinary(worker.FromWorkerSchema, create(worker.FromWorkerSchema, { message }));
    return new Promise((resolve) => {
      this.#socket.write(frameMessage(bytes), () => resolve());
    });
  }
}

/** One public client's connection, as the customer's services see it: a Duplex over one stream of the tunnel. */
import { constants, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import type { Endpoint } from "@biplane/tunnel-protocol";

/**
 * Bytes that may wait for HTTP/2 while the writer already goes on. Without them a TLS server would encrypt and send in
 * turns instead of at the same time, and be slower by a third.
 */
const writeAheadBytesMax = 256 * 1024;

type WriteCallback = (error?: Error | null) => void;

export interface TunnelSocketOptions {
  readonly client: Endpoint | undefined;
  readonly retiring: AbortSignal;
}

export class TunnelSocket extends Duplex {
  /** The client's address as the edge reports it: the provider's word, which nothing here can check. */
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Aborts when the tunnel's connection beneath is about to end: what outlives requests should come again by another. */
  readonly retiring: AbortSignal;
  readonly #stream: ServerHttp2Stream;
  #aheadBytes = 0;
  #waiting: WriteCallback | undefined;

  constructor(stream: ServerHttp2Stream, { client, retiring }: TunnelSocketOptions) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#stream = stream;
    this.remoteAddress = client?.address;
    this.remotePort = client?.port;
    this.retiring = retiring;
    stream.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) stream.pause();
    });
    stream.once("end", () => this.push(null));
    stream.once("close", () => this.#streamClosed());
    stream.pause();
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: string, callback: WriteCallback): void {
    this.#send([chunk]);
    this.#goOn(callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: WriteCallback): void {
    this.#send(chunks.map(({ chunk }) => chunk));
    this.#goOn(callback);
  }

  override _final(callback: WriteCallback): void {
    if (this.#stream.destroyed) callback();
    else this.#stream.end(() => callback());
  }

  /** An unfinished answer must not look like a finished one: the client gets a reset. */
  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#waiting = undefined;
    const finished = this.writableFinished && error === null;
    // Not close(), which would say a regular end of the stream before it resets it.
    this.#stream.destroy(finished ? undefined : (error ?? new Error("The connection ended early.")));
    callback(error);
  }

  #send(chunks: readonly Buffer[]): void {
    this.#stream.cork();
    for (const chunk of chunks) {
      this.#aheadBytes += chunk.length;
      this.#stream.write(chunk, () => {
        this.#aheadBytes -= chunk.length;
        this.#wake();
      });
    }
    this.#stream.uncork();
  }

  #goOn(callback: WriteCallback): void {
    if (this.#aheadBytes <= writeAheadBytesMax) callback();
    else this.#waiting = callback;
  }

  #wake(): void {
    if (this.#waiting === undefined || this.#aheadBytes > writeAheadBytesMax) return;
    const callback = this.#waiting;
    this.#waiting = undefined;
    callback();
  }

  /** The stream's own end of both directions is no failure; a reset or a lost tunnel is one, without a cause of ours. */
  #streamClosed(): void {
    if (this.#stream.rstCode === constants.NGHTTP2_NO_ERROR && this.#stream.readableEnded) return;
    this.destroy();
  }
}

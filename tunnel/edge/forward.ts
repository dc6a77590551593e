/**
 * Joins a public TCP connection and a tunnel stream: bytes both ways, each end of one direction passed on, a reset
 * passed on as a reset. Reading stops where the other side does not take any more, so nothing piles up here.
 */
import { type ClientHttp2Stream, constants } from "node:http2";
import type { Socket } from "node:net";

/** Bytes of one client that may wait for the tunnel. */
const readAheadBytesMax = 256 * 1024;

export function forward(socket: Socket, stream: ClientHttp2Stream): void {
  socket.once("close", () => {
    // Only a connection that ended both ways is a completed one; anything else must not look like one inside.
    if (!stream.destroyed && !(socket.readableEnded && stream.readableEnded)) {
      // Not close(), which would say a regular end of the stream before it resets it.
      stream.destroy(new Error("The client's connection ended early."));
    }
  });
  stream.once("close", () => {
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR) socket.destroySoon();
    else socket.resetAndDestroy();
  });
  // What arrives in one turn leaves in one system call, not in one for each frame.
  stream.on("data", () => {
    if (socket.writableCorked > 0) return;
    socket.cork();
    process.nextTick(() => socket.uncork());
  });
  stream.pipe(socket);
  pump(socket, stream);
}

/** Like `pipe`, but reading goes on while HTTP/2 is still sending: it would take turns otherwise. */
function pump(socket: Socket, stream: ClientHttp2Stream): void {
  let aheadBytes = 0;
  socket.on("data", (chunk: Buffer) => {
    aheadBytes += chunk.length;
    if (aheadBytes >= readAheadBytesMax) socket.pause();
    stream.write(chunk, () => {
      aheadBytes -= chunk.length;
      if (aheadBytes < readAheadBytesMax) socket.resume();
    });
  });
  socket.once("end", () => stream.end());
  socket.resume();
}

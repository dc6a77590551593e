/** Notices an HTTP/2 peer that is silently gone. */
import type { Http2Session } from "node:http2";

export interface HeartbeatOptions {
  readonly intervalMs: number;
  /** Intervals in a row without a sign of life before the peer is given up. */
  readonly missedMax: number;
  /** Bytes received so far: a busy peer may answer a ping late, behind the data that it is sending. */
  readonly bytesRead: () => number;
  readonly onSilent: () => void;
}

/**
 * Pings an HTTP/2 peer and notices a path that swallows packets, which TCP itself reports only after many minutes.
 * Missed beats are counted, not clocked, so that a process that was suspended does not blame its peer. Stops with the
 * session.
 */
export function keepHeartbeat(session: Http2Session, options: HeartbeatOptions): void {
  let missed = 0;
  let bytesBefore = options.bytesRead();
  const timer = setInterval(() => {
    const bytes = options.bytesRead();
    missed = bytes === bytesBefore ? missed + 1 : 0;
    bytesBefore = bytes;
    if (missed >= options.missedMax) {
      clearInterval(timer);
      options.onSilent();
    } else {
      ping(session);
    }
  }, options.intervalMs);
  timer.unref();
  session.once("close", () => clearInterval(timer));
}

/** The answer counts as received bytes; a refusal means that enough pings are already on their way. */
function ping(session: Http2Session): void {
  if (session.destroyed) return;
  try {
    session.ping(() => {});
  } catch {
    // The session ended between the check and the call.
  }
}

import { KiB, limits, MiB, second } from "@biplane/base";

/** Every bound of the tunnel in one place. Sizes in bytes, times in milliseconds. */
export const tunnelLimits = {
  /** Bytes that a client may send before its TLS server name is known. Hybrid post-quantum hellos have about 2 KiB. */
  clientHelloBytesMax: 16 * KiB,
  /** From a public connection's first packet to its complete ClientHello. */
  clientHelloMs: limits.handshakeMs,
  /** From then to the client's next bytes, which a TLS client sends when it has the server's answer. */
  clientFinishMs: limits.handshakeMs,
  /** Public connections in the one state, and in the other; beyond it the oldest gives way. */
  halfOpenMax: limits.handshakesHalfOpenMax,
  /** Public connections of one edge, and of one tunnel name, so that no tenant can use up the others' share. */
  connectionsMax: limits.connectionsMax,
  connectionsPerNameMax: 5_000,
  /** Connectors' TLS handshakes under way, and connectors' connections, at one edge. */
  connectorHandshakesMax: 128,
  connectorHandshakeMs: 5 * second,
  connectorsMax: 4_096,
  /** Streams of one tunnel connection. */
  streamsMax: 4_096,
  /** How long an opened stream may wait for the connector's answer. */
  streamAnswerMs: 10 * second,
  /**
   * Bytes of one connection that may be on the way in one direction. This is what a reader that stopped reading costs
   * each side at most, and bounds one connection's speed to this much per round trip.
   */
  streamWindowBytes: 2 * MiB,
  /** The same for one tunnel connection as a whole: large, since a stream's own window is what holds it back. */
  sessionWindowBytes: 64 * MiB,
  /**
   * Streams that the edge may reset, at once and a second. Every public client that goes away without a farewell is
   * one; HTTP/2's usual guard (1,000, then 33/s) would let any client end the connection that all of them share.
   */
  streamResetsBurstMax: 100_000,
  streamResetsPerSecondMax: 10_000,
  /** Memory that HTTP/2 may use for one tunnel connection before it refuses new streams. */
  sessionMegabytesMax: limits.sessionMegabytesMax,
  /** A heartbeat each; a peer silent for the longer time is given up. */
  heartbeatMs: 5 * second,
  silenceMsMax: 15 * second,
  /** Streams under way when a side shuts down get this long to end. */
  drainMs: 5 * second,
  /** Tunnel connections of one connector. */
  connections: 4,
  connectMs: 10 * second,
  backoffFirstMs: 250,
  backoffLastMs: 15 * second,
} as const;

export type TunnelLimits = { readonly [Name in keyof typeof tunnelLimits]: number };

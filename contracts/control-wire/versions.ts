/**
 * Dated versions of the link's protocol, newest last. A control plane answers a hello with the newest version
 * that both sides know; a data plane that knows none of them is told to update.
 */
export const protocolVersions = [
  /** Projections up, intents and aborts down, each message with its session and number. */
  20261125,
] as const;

export const newestProtocolVersion = protocolVersions[protocolVersions.length - 1]!;

/** The newest version not above the peer's, or undefined where there is none. */
export function agreeOnVersion(peerVersion: number): number | undefined {
  return protocolVersions.findLast((version) => version <= peerVersion);
}

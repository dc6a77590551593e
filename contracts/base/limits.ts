import { hour, KiB, MiB, minute, second } from "./units.ts";

/** Every bound that a user or a peer can meet, in one place. Sizes in bytes, times in milliseconds. */
export const limits = {
  /** Structured inputs of one run (claim FLOW-4). */
  inputBytesMax: 10 * MiB,
  /** Inputs and outputs together of one read (claim FLOW-4). */
  readBytesMax: 20 * MiB,
  /** One Connect message at the router: inputs or outputs plus their envelope. */
  requestBytesMax: 24 * MiB,
  /** One message of the link, either way. */
  linkMessageBytesMax: 4 * MiB,
  /**
   * What one HTTP/2 session may hold before it refuses new streams, a tunnel connection too; Node's 10 MB would refuse
   * them while one large message is sent.
   */
  sessionMegabytesMax: 256,
  /** Events in one batch of the link, and batches sent but not acknowledged. */
  linkBatchEventsMax: 1_000,
  linkBatchesInFlightMax: 8,
  linkHeartbeatMs: 5 * second,
  linkSilenceMsMax: 20 * second,
  /** Presigned URLs: lifetime by default, at most. */
  presignMsDefault: hour,
  presignMsMax: 12 * hour,
  /** How long CreateRun waits for the control plane (rule of state 3), and until a pending run is withdrawn. */
  admissionWaitMs: 5 * second,
  pendingRunMs: 10 * minute,
  /** How far an intent's expiry may be off: until then its nonce is remembered. */
  intentLifetimeMsMax: hour,
  /** How long a repeated request gets its first answer again (rule of state 2). */
  repeatKeyMs: 24 * hour,
  accessTokenMs: 15 * minute,
  controlTokenMs: 5 * minute,
  taskTokenMs: 10 * minute,
  /** How long a document that the authority signed is believed; it is signed again at half of it. */
  documentMs: 15 * minute,
  listLimitDefault: 100,
  listLimitMax: 1_000,
  logLineBytesMax: 1 * MiB,
  nameCharactersMax: 255,
  runNameCharactersMax: 30,
  actionNameCharactersMax: 64,
  /** One action's attempts: the user's retries plus the platform's own. */
  retriesMax: 10,
  systemRetriesMax: 3,
  actionsPerRunMax: 1_000_000,
  actionDepthMax: 64,
  bundleBytesMax: 64 * MiB,
  reportBytesMax: 64 * MiB,
  errorMessageBytesMax: 64 * KiB,
  /** A failure's code, as a program gave it. */
  errorCodeBytesMax: 128,
  handshakeMs: 10 * second,
  handshakesHalfOpenMax: 1_024,
  connectionsMax: 10_000,
} as const;

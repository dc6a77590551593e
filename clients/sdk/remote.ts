/** Biplane from outside of a cluster: start runs, wait for them, read what they gave. */
export {
  connect,
  errorTextOf,
  inputFieldsOf,
  RemoteClient,
  RemoteRun,
  type RunSummary,
  type TaskReference,
  withDefaults,
} from "./remote/client.ts";
export {
  type Config,
  ConfigStore,
  configFolder,
  defaultDomain,
  type StoredCredentials,
} from "./remote/config-store.ts";
export { type Connection, type ConnectOptions, openConnection, requireProject } from "./remote/connection.ts";
export { KnownServers } from "./remote/known-servers.ts";
export type { LogLine } from "./remote/logs.ts";
export { phaseName, phaseNumber } from "./remote/phase-names.ts";
export { PinnedHttp } from "./remote/pinned-http.ts";
export { type Profile, parseProfile, readProfile } from "./remote/profile.ts";
export {
  chooseTask,
  createRun,
  exportsNoTask,
  inspectModule,
  type Place,
  type PreparedModule,
  placeRun,
  type RunOptions,
  uploadModule,
} from "./remote/submit.ts";
export { discover, scope, signInFailure, toAccessToken } from "./remote/tokens.ts";
export { Uploader } from "./remote/upload.ts";

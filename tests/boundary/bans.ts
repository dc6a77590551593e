/**
 * What each shipped entry must not contain, directly or through anything that it links, with the reason and what to do
 * instead. A folder of the repository, or an npm package (a scope bans all of its packages).
 */
export interface Ban {
  readonly forbidden: string;
  readonly reason: string;
  readonly remedy: string;
}

const payloads = "it holds message types that can carry customer data (claim CLS-2)";
const project = "project it in planes/data/runs to a message of contracts/control-wire";
const otherPlane = "the planes trust each other with messages, not with code";
const overTheLink = "send a message of contracts/control-wire over the link";

const control: readonly Ban[] = [
  { forbidden: "contracts/data-wire", reason: payloads, remedy: project },
  { forbidden: "@flyteorg/flyteidl2", reason: payloads, remedy: project },
  { forbidden: "planes/data", reason: otherPlane, remedy: overTheLink },
  {
    forbidden: "tunnel",
    reason: "the edge and its protocol are separate processes",
    remedy: "run `biplane edge`",
  },
  { forbidden: "worker", reason: "it runs customers' code", remedy: overTheLink },
  {
    forbidden: "clients",
    reason: "clients speak to data planes",
    remedy: "serve what they need over the wire",
  },
  { forbidden: "contracts/layout", reason: "the provider has no object store to lay out", remedy: project },
  {
    forbidden: "oidc-provider",
    reason: "the provider never signs people in (claim TRUST-1)",
    remedy: "verify control tokens by the organization's keys",
  },
  {
    forbidden: "@aws-sdk",
    reason: "the provider holds no credential of any object store (claim FLOW-1)",
    remedy: "do it in planes/data/objects",
  },
  { forbidden: "@duckdb", reason: "the provider has no data to query", remedy: "do it in a task" },
];

const blind = "the edge forwards bytes that it can't read, so it links no message type (claim CLS-4)";
const edge: readonly Ban[] = [
  { forbidden: "contracts/control-wire", reason: blind, remedy: "configure the edge by options and files" },
  { forbidden: "contracts/data-wire", reason: blind, remedy: "forward the stream unread" },
  { forbidden: "contracts/identity", reason: blind, remedy: "leave decisions to the router" },
  { forbidden: "contracts/classification", reason: blind, remedy: "leave decisions to the router" },
  { forbidden: "@flyteorg/flyteidl2", reason: blind, remedy: "forward the stream unread" },
  {
    forbidden: "@bufbuild/protobuf",
    reason: blind,
    remedy: "import files of the kit one by one, not its index",
  },
  { forbidden: "@connectrpc", reason: blind, remedy: "import files of the kit one by one, not its index" },
  {
    forbidden: "planes",
    reason: "the edge is trusted less than either plane",
    remedy: "keep it a program of its own",
  },
  {
    forbidden: "tunnel/connector",
    reason: "it is the customer's end",
    remedy: "share through tunnel/protocol",
  },
  { forbidden: "kysely", reason: "the edge keeps no records", remedy: "import files of the kit one by one" },
  { forbidden: "jose", reason: "the edge knows no identities", remedy: "leave tokens to the router" },
];

const data: readonly Ban[] = [
  { forbidden: "planes/control", reason: otherPlane, remedy: "ask over planes/data/link" },
  { forbidden: "tunnel/edge", reason: "it is the provider's end", remedy: "share through tunnel/protocol" },
  {
    forbidden: "clients",
    reason: "the data plane starts workers, it is no client",
    remedy: "move it to contracts or kit",
  },
];

const stranger = "clients and workers reach the planes over the wire, as any stranger's program does";
const client: readonly Ban[] = [
  { forbidden: "planes", reason: stranger, remedy: "call the router, or start the plane's program" },
  { forbidden: "tunnel", reason: stranger, remedy: "dial the address that the profile names" },
  {
    forbidden: "@cedar-policy",
    reason: "clients and tasks decide nothing, and would load a large engine for it",
    remedy: "import @biplane/identity, not @biplane/identity/decide; ask the router",
  },
];

const inEveryTask: readonly Ban[] = [
  ...client,
  {
    forbidden: "@electric-sql/pglite",
    reason: "it would be loaded in every task",
    remedy: "import files of the kit one by one, not its index",
  },
  {
    forbidden: "kysely",
    reason: "it would be loaded in every task",
    remedy: "import files of the kit one by one",
  },
  {
    forbidden: "esbuild",
    reason: "bundling is the submitter's work",
    remedy: "keep it behind @biplane/sdk/remote",
  },
];

const shared = "both planes run it, each on its own database";
const databaseThread: readonly Ban[] = [
  { forbidden: "planes", reason: shared, remedy: "send statements to the thread" },
  { forbidden: "contracts/control-wire", reason: shared, remedy: "map rows to messages in the plane" },
  { forbidden: "contracts/data-wire", reason: shared, remedy: "map rows to messages in the plane" },
];

const bytesOnly = "it encrypts bytes with the keys it is handed, and knows nothing of what they mean";
const sealingThread: readonly Ban[] = [
  { forbidden: "planes/control", reason: bytesOnly, remedy: "ask over the link" },
  { forbidden: "contracts/control-wire", reason: bytesOnly, remedy: "keep messages on the main thread" },
  { forbidden: "contracts/data-wire", reason: bytesOnly, remedy: "keep messages on the main thread" },
  { forbidden: "kit/database.ts", reason: bytesOnly, remedy: "keep state on the main thread" },
];

const nothingElse = "it stays small, so that starting a process from it costs little";
const sandboxSpawner: readonly Ban[] = [
  { forbidden: "contracts", reason: nothingElse, remedy: "decide in the launcher" },
  { forbidden: "kit", reason: nothingElse, remedy: "decide in the launcher" },
  { forbidden: "planes/control", reason: otherPlane, remedy: overTheLink },
];

export const bans = {
  control,
  edge,
  data,
  worker: inEveryTask,
  "worker-snapshot": inEveryTask,
  "first-process": inEveryTask,
  sdk: inEveryTask,
  cli: client,
  "embedded-database-thread": databaseThread,
  "sealing-thread": sealingThread,
  "sandbox-spawner": sandboxSpawner,
} as const;

/** The table of who may import whom. Longest folder wins. Tests may import anything. */

export interface ImportRule {
  readonly folder: string;
  readonly mayImport: readonly string[] | "anything";
  /** Exceptions to `mayImport`. */
  readonly never?: readonly string[];
  readonly reason: string;
  readonly remedy: string;
}

const contracts = [
  "contracts/base",
  "contracts/control-wire",
  "contracts/data-wire",
  "contracts/classification",
  "contracts/identity",
  "contracts/audit",
  "contracts/layout",
];
const planes = ["planes/control", "planes/data"];

export const importRules: readonly ImportRule[] = [
  {
    folder: "contracts/base",
    mayImport: [],
    reason: "is what everything else stands on.",
    remedy: "move the code to where its dependency is.",
  },
  {
    folder: "contracts/control-wire",
    mayImport: ["contracts/base"],
    reason: "is what the provider may know: no payload message belongs near it (claim CLS-2).",
    remedy: "project the message to names, digests, phases and times in planes/data first.",
  },
  {
    folder: "contracts",
    mayImport: contracts,
    reason: "is what parties agree on, without any party's code.",
    remedy: "describe the agreement as types or pure functions.",
  },
  {
    folder: "kit",
    mayImport: ["contracts/base"],
    reason: "is free of the domain, so that both planes and the edge can share it.",
    remedy: "move domain code to the plane that needs it.",
  },
  {
    folder: "kit/audit-log",
    mayImport: ["contracts/base", "contracts/audit", "kit"],
    reason: "keeps a log of the form that the planes agreed on, for both planes (decision 12).",
    remedy: "put what the planes agree on into contracts/audit.",
  },
  {
    folder: "planes/control",
    mayImport: [...contracts, "kit"],
    never: ["contracts/data-wire"],
    reason: "must not even know the types that could carry customer data (claim CLS-2).",
    remedy:
      "add a field with its class to proto/biplane/control/v1 and fill it in planes/data/runs/projections.",
  },
  {
    folder: "planes/data",
    mayImport: [...contracts, "kit", "tunnel/connector"],
    reason: "runs at the customer's and shares no code with the provider's plane but the contracts.",
    remedy: "ask the control plane over the link (planes/data/link).",
  },
  {
    folder: "tunnel/protocol",
    mayImport: ["contracts/base", "kit"],
    reason: "is what edge and connector agree on: names and bytes, no messages (claim CLS-4).",
    remedy: "keep messages in the planes.",
  },
  {
    folder: "tunnel",
    mayImport: ["contracts/base", "kit", "tunnel/protocol"],
    reason: "carries bytes that it can't read; it links no message type (claim CLS-4).",
    remedy: "put what needs messages into a plane.",
  },
  {
    folder: "worker",
    mayImport: [...contracts, "kit", "clients/sdk"],
    reason: "runs customers' code and may be replaced by any program that speaks the data wire.",
    remedy: "ask the data plane over the worker's control channel or the router.",
  },
  {
    folder: "clients/sdk",
    mayImport: [...contracts, "kit"],
    reason: "is what customers link into their own programs.",
    remedy: "speak the wire.",
  },
  {
    folder: "clients",
    mayImport: [...contracts, "kit", "clients/sdk"],
    reason: "reaches the planes as any stranger does, over the wire.",
    remedy: "use the SDK's remote client, or start the plane's own program.",
  },
  {
    folder: "examples",
    mayImport: ["clients/sdk", "clients/cli", "kit", "contracts/base"],
    reason: "shows what people write; it uses what they can use.",
    remedy: "use the SDK.",
  },
  { folder: "verify", mayImport: "anything", never: [], reason: "is a client.", remedy: "" },
  { folder: "bench", mayImport: "anything", never: [], reason: "measures everything.", remedy: "" },
  {
    folder: "tools",
    mayImport: "anything",
    never: planes,
    reason: "builds the planes.",
    remedy: "run them as programs.",
  },
  {
    folder: "tools/register",
    mayImport: "anything",
    reason: "compares the register with the tables that the planes' migrations make (decision 16).",
    remedy: "",
  },
];

/** The rule of the longest folder that holds the path. Files of the root configure tools. */
export function ruleFor(path: string): ImportRule | undefined {
  if (!path.includes("/")) return { folder: ".", mayImport: "anything", reason: "", remedy: "" };
  return importRules
    .filter(({ folder }) => path.startsWith(`${folder}/`))
    .sort((a, b) => b.folder.length - a.folder.length)[0];
}

/** What makes a function depend on more than its arguments. */
export const pureContractBans = {
  modules: new Set(
    [
      "fs",
      "fs/promises",
      "net",
      "tls",
      "http",
      "https",
      "http2",
      "child_process",
      "os",
      "dgram",
      "dns",
      "worker_threads",
    ].map((name) => `node:${name}`),
  ),
  texts: [
    /\bprocess\.env\b/,
    /\bDate\.now\(\)/,
    /\bnew Date\(\)/,
    /\bMath\.random\(\)/,
    /\bsetTimeout\(/,
    /\bfetch\(/,
  ],
};

/** Names by which Node's own modules open connections. Servers, types and constants are nobody's concern here. */
export const dialingNames: Readonly<Record<string, readonly string[]>> = {
  "node:net": ["connect", "createConnection", "Socket"],
  "node:tls": ["connect"],
  "node:http": ["request", "get", "Agent", "globalAgent"],
  "node:https": ["request", "get", "Agent", "globalAgent"],
  "node:http2": ["connect"],
  "node:dgram": ["createSocket"],
};
export const dialingText = /(?<![.\w])fetch\(/;

/** Packages that open connections by themselves; the list that `kit/egress.ts` enforces holds for them too. */
export const dialingPackages: readonly string[] = [
  "pg",
  "@connectrpc/connect-node",
  "openid-client",
  "@aws-sdk",
];

/** Where the planes' code may dial, each for its reason (claim RES-4). Everything else goes through `kit/egress.ts`. */
export const dialers: Readonly<Record<string, string>> = {
  "kit/egress.ts": "is the one module that opens connections",
  "kit/local-operations.ts": "speaks to a unix socket in the state folder, never to the network",
  "kit/connect-client.ts": "makes the HTTP/2 sessions of the link and of clients",
  "kit/connect-server.ts": "serves; the package has the client too",
  "kit/database.ts": "connects to PostgreSQL",
  "planes/data/identity/federation.ts":
    "speaks to the customer's own identity provider, over the given fetch",
  "planes/data/execution/sandbox/spawner-process.ts":
    "gives streams back over a unix socket of the data plane, never to the network",
  "planes/data/keys/aws-kms-provider.ts": "speaks to AWS KMS",
  "tunnel/edge/tunnel-connection.ts": "speaks HTTP/2 over a connection that came in",
};

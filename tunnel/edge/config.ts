/** The edge's configuration: its file's schema, and the files of its state folder. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import type { TlsIdentity } from "@biplane/kit/tls";
import { normalizeHostName } from "@biplane/tunnel-protocol";
import { z } from "zod";
import type { IdentityPaths } from "./fresh-identity.ts";

const port = z.int().min(0).max(65_535);
const name = z
  .string()
  .transform((value) => normalizeHostName(value) ?? "")
  .refine((value) => value !== "", "is not a host name");

const listener = z
  .strictObject({
    /** Appears in the log and the ready line. */
    name: z.string().regex(/^[a-z0-9-]{1,63}$/, "has lower-case letters, digits and hyphens, 63 at most"),
    host: z.string().default("127.0.0.1"),
    port,
    /** Everything that arrives here goes to this tunnel name. */
    tunnel: name.optional(),
    /** By the client's TLS server name; a name not listed goes to the connector whose certificate has it. */
    hosts: z.record(name, name).optional(),
  })
  .refine(
    (one) => (one.tunnel === undefined) !== (one.hosts === undefined),
    "has either `tunnel` or `hosts`",
  );

const schema = z.strictObject({
  tunnel: z.strictObject({ host: z.string().default("127.0.0.1"), port: port.default(8446) }),
  listeners: z.array(listener).max(1_000),
  /** How long connections may go on when the edge is told to end. */
  drainMs: z.int().min(0).max(3_600_000).optional(),
  connectionsMax: z.int().min(1).max(1_000_000).optional(),
  connectionsPerNameMax: z.int().min(1).max(1_000_000).optional(),
});

export type EdgeConfig = z.output<typeof schema>;
export type ListenerConfig = EdgeConfig["listeners"][number];

export function parseEdgeConfig(value: unknown, origin: string): EdgeConfig {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BiplaneError("invalid_argument", {
    what: `The edge's configuration ${origin} is not valid.`,
    why: z.prettifyError(parsed.error).replaceAll("\n", " "),
    next: "Correct the file.",
  });
}

export async function readEdgeConfig(path: string): Promise<EdgeConfig> {
  const text = await readState(path, "Write it; docs/operate/edge.md shows one.");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      { what: `${path} is not JSON.`, next: "Correct the file." },
      { cause },
    );
  }
  return parseEdgeConfig(value, path);
}

export interface EdgeState {
  readonly identity: TlsIdentity;
  /** Where that came from: looked at again while the edge runs. */
  readonly identityPaths: IdentityPaths;
  /** The authority that signs connectors' certificates. */
  readonly clientAuthorityPem: string;
  readonly revokedPath: string;
}

export async function readEdgeState(folder: string): Promise<EdgeState> {
  const next = "Have the control plane make it: biplane control edge-identity --out FOLDER --host NAME.";
  const [certificatePem, privateKeyPem, clientAuthorityPem] = await Promise.all(
    ["identity.crt", "identity.key", "clients-ca.crt"].map((file) => readState(join(folder, file), next)),
  );
  return {
    identity: { certificatePem: certificatePem!, privateKeyPem: privateKeyPem! },
    identityPaths: { certificate: join(folder, "identity.crt"), key: join(folder, "identity.key") },
    clientAuthorityPem: clientAuthorityPem!,
    revokedPath: join(folder, "revoked.txt"),
  };
}

async function readState(path: string, next: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = `${path} cannot be read${code === undefined ? "" : ` (${code})`}.`;
    throw new BiplaneError("failed_precondition", { what, next }, { cause });
  }
}

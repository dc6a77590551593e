/** What enrollment gave this cluster: its certificate for link and tunnel, and where to dial. One file, owner-only. */
import { join } from "node:path";
import { readFileIfAny, type TlsIdentity, writeFileDurably } from "@biplane/kit";
import { z } from "zod";

export interface Enrollment {
  readonly org: string;
  readonly cluster: string;
  /** Client certificate, for the link and for the tunnel's connector. */
  readonly identity: TlsIdentity;
  /** The authority that the control plane's and the edge's certificates come from. */
  readonly providerRootPem: string;
  /** `host:port` */
  readonly linkAddress: string;
  /** `host:port`, empty where there is no edge. */
  readonly edgeAddress: string;
  /** `host:port` as clients dial it, by service: router, authority, objects. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly controlPlaneRegion: string;
}

const schema = z.object({
  org: z.string(),
  cluster: z.string(),
  identity: z.object({ certificatePem: z.string(), privateKeyPem: z.string() }),
  providerRootPem: z.string(),
  linkAddress: z.string(),
  edgeAddress: z.string(),
  addresses: z.record(z.string(), z.string()),
  controlPlaneRegion: z.string(),
});

/** Certificate and key are in one file, so that a crash can't leave one without the other. */
export async function writeEnrollment(folder: string, enrollment: Enrollment): Promise<void> {
  await writeFileDurably(pathIn(folder), JSON.stringify(enrollment, null, 2));
}

/** Undefined where the cluster was never enrolled. */
export async function readEnrollment(folder: string): Promise<Enrollment | undefined> {
  const content = await readFileIfAny(pathIn(folder));
  return content === undefined ? undefined : schema.parse(JSON.parse(content.toString("utf8")));
}

function pathIn(folder: string): string {
  return join(folder, "enrollment.json");
}

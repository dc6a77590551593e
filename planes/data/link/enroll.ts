/**
 * Makes this data plane known to a control plane: with a key of its own making, under a one-time code that brings the
 * only authority to believe. Whoever answers without its certificate learns nothing.
 */
import { createHash, X509Certificate } from "node:crypto";
import { BiplaneError, limits } from "@biplane/base";
import {
  EnrollmentService,
  EnrollRequestSchema,
  type EnrollResponse,
  EnrollResponseSchema,
} from "@biplane/control-wire";
import { createCertificateRequest, fromConnectError, type Logger } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { z } from "zod";
import type { OrganizationCertificates } from "../identity/certificates.ts";
import { requireMetadataRegion } from "../residency/regions.ts";
import { type Enrollment, writeEnrollment } from "./enrollment.ts";
import { signEnrollmentStatement } from "./enrollment-statement.ts";
import { guardDown, guardUp } from "./guard.ts";
import type { BorderLedger } from "./ledger.ts";
import { createRecordedTransport } from "./recorded-transport.ts";

export interface EnrollOptions {
  readonly code: string;
  readonly org: string;
  readonly cluster: string;
  /** The organization's root and this cluster's intermediate below it. */
  readonly certificates: OrganizationCertificates;
  /** Public keys of control tokens, as a JWK set in JSON. */
  readonly controlTokenKeys: string;
  readonly region: string;
  /** Where the control plane may be; anywhere where there is none. */
  readonly metadataRegions?: readonly string[];
  /** Where the enrollment is kept. */
  readonly folder: string;
  /** The first call to a control plane is on record as every later one is. */
  readonly ledger: Pick<BorderLedger, "record">;
  readonly log: Logger;
}

/** How an enrollment code looks: where the control plane is, the provider's root, the secret. */
const codeSchema = z.object({
  address: z.string().regex(/^[^/\s]+:\d{1,5}$/),
  /** The provider's root, DER in base64url. */
  root: z.string().max(4_096),
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** Where the control plane says it is. */
  region: z.string().max(64).optional(),
});
type Code = z.infer<typeof codeSchema>;

export async function enroll(options: EnrollOptions): Promise<Enrollment> {
  const code = parseCode(options.code);
  // Before anything of the organization is told there.
  if (code.region !== undefined) requireMetadataRegion(code.region, options.metadataRegions ?? []);
  const providerRootPem = pemOf(Buffer.from(code.root, "base64url"));
  const { requestDer, privateKeyPem } = await createCertificateRequest(`${options.cluster}.${options.org}`);
  const response = await send(options, code, providerRootPem, requestDer);
  requireMetadataRegion(response.controlPlaneRegion, options.metadataRegions ?? []);
  const enrollment = {
    org: options.org,
    cluster: options.cluster,
    identity: { certificatePem: pemOf(response.certificate), privateKeyPem },
    providerRootPem,
    linkAddress: response.linkAddress,
    edgeAddress: response.edgeAddress,
    addresses: Object.fromEntries(response.addresses.map(({ service, address }) => [service, address])),
    controlPlaneRegion: response.controlPlaneRegion,
  };
  await writeEnrollment(options.folder, enrollment);
  options.log.info({ event: "enrolled", org: options.org, cluster: options.cluster }, "enrolled");
  return enrollment;
}

export function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

async function send(
  options: EnrollOptions,
  code: Code,
  authorityPem: string,
  request: Uint8Array,
): Promise<EnrollResponse> {
  const client = createClient(
    EnrollmentService,
    createRecordedTransport(`https://${code.address}`, { authorityPem }, options.ledger),
  );
  const { org, cluster, certificates, controlTokenKeys, region, metadataRegions = [] } = options;
  const codeProof = createHash("sha256").update(Buffer.from(code.secret, "base64url")).digest();
  const providerRoot = Buffer.from(code.root, "base64url");
  const stated = { org, cluster, providerRoot, codeProof, request, controlTokenKeys };
  const statement = await signEnrollmentStatement(stated, certificates.intermediate, Date.now());
  const organizationRoot = new X509Certificate(certificates.root.certificatePem).raw;
  const enrollment = {
    ...{ org, cluster, codeProof, organizationRoot, controlTokenKeys, region, statement },
    metadataRegions: [...metadataRegions],
  };
  const message = create(EnrollRequestSchema, { ...enrollment, certificateRequest: request });
  guardUp(EnrollRequestSchema, message);
  const response = await client
    .enroll(message, { timeoutMs: limits.handshakeMs })
    .catch((error: unknown) => Promise.reject(explain(error, code.address)));
  guardDown(EnrollResponseSchema, response);
  return response;
}

function parseCode(text: string): Code {
  try {
    return codeSchema.parse(JSON.parse(Buffer.from(text.trim(), "base64url").toString("utf8")));
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: "The enrollment code can't be read.",
        next: "Copy the whole code that biplane control enroll-code printed.",
      },
      { cause, reason: "enrollment_code" },
    );
  }
}

/** A refusal is the control plane's own word; everything else means that it was not reached under its own name. */
function explain(error: unknown, address: string): BiplaneError {
  const known = fromConnectError(error);
  if (known.code !== "unavailable" && known.code !== "internal" && known.code !== "canceled") return known;
  return new BiplaneError(
    "unavailable",
    {
      what: `The control plane that the code is from can't be reached at ${address}.`,
      why: "Nothing answers there, or what answers has no certificate of that control plane.",
      next: "Check the address, and that nothing on the way ends TLS.",
    },
    { cause: error, reason: "control_plane_unreachable" },
  );
}

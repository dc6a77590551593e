/**
 * Makes this data plane known to a control plane: with a key of its own making, under a one-time code whose fingerprint
 * says which authority to believe. Nothing is sent before that authority was seen.
 */
import { createHash, X509Certificate } from "node:crypto";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { BiplaneError, limits } from "@biplane/base";
import { EnrollmentService, type EnrollResponse } from "@biplane/control-wire";
import {
  createCertificateRequest,
  createClientTransport,
  fromConnectError,
  type Logger,
  strongTls,
} from "@biplane/kit";
import { createClient } from "@connectrpc/connect";
import { z } from "zod";
import { type Enrollment, writeEnrollment } from "./enrollment.ts";

export interface EnrollOptions {
  readonly code: string;
  readonly org: string;
  readonly cluster: string;
  readonly organizationRootPem: string;
  /** Public keys of control tokens, as a JWK set in JSON. */
  readonly controlTokenKeys: string;
  readonly region: string;
  /** Where the enrollment is kept. */
  readonly folder: string;
  readonly log: Logger;
}

const codeSchema = z.object({
  address: z.string().regex(/^[^/\s]+:\d{1,5}$/),
  root: z.string().regex(/^[0-9a-f]{64}$/),
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
type Code = z.infer<typeof codeSchema>;

export async function enroll(options: EnrollOptions): Promise<Enrollment> {
  const code = parseCode(options.code);
  const providerRootPem = await findRoot(code);
  const { requestDer, privateKeyPem } = await createCertificateRequest(`${options.cluster}.${options.org}`);
  const response = await send(options, code, providerRootPem, requestDer);
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
    createClientTransport({ baseUrl: `https://${code.address}`, tls: { authorityPem } }),
  );
  try {
    return await client.enroll(
      {
        codeProof: createHash("sha256").update(Buffer.from(code.secret, "base64url")).digest(),
        org: options.org,
        cluster: options.cluster,
        certificateRequest: request,
        organizationRoot: new X509Certificate(options.organizationRootPem).raw,
        controlTokenKeys: options.controlTokenKeys,
        region: options.region,
      },
      { timeoutMs: limits.handshakeMs },
    );
  } catch (error) {
    throw fromConnectError(error);
  }
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

/**
 * The authority that the code names, as the control plane shows it. This connection believes nobody and carries
 * nothing: it only fetches the chain, and what is not under the fingerprint is dropped.
 */
async function findRoot(code: Code): Promise<string> {
  const { hostname, port } = new URL(`https://${code.address}`);
  const chain = await fetchChain(hostname.replace(/^\[|\]$/g, ""), Number(port || 443));
  for (const der of chain) {
    if (createHash("sha256").update(der).digest("hex") === code.root) return pemOf(der);
  }
  throw new BiplaneError(
    "permission_denied",
    {
      what: `What answers at ${code.address} is not the control plane that the code is from.`,
      why: "Its certificate does not come from the authority whose fingerprint the code names.",
      next: "Check the address, and that nothing on the way ends TLS.",
    },
    { reason: "wrong_control_plane" },
  );
}

function fetchChain(host: string, port: number): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const servername = /^[\d.]+$|:/.test(host) ? "" : host;
    const socket = connect({
      ...strongTls,
      host,
      port,
      servername,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
    });
    socket.setTimeout(limits.handshakeMs, () => socket.destroy(new Error("No answer in time.")));
    socket.once("error", (cause) => reject(unreachable(`${host}:${port}`, cause)));
    socket.once("secureConnect", () => {
      const chain: Uint8Array[] = [];
      let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      // A root names itself as its issuer.
      while (
        certificate?.raw !== undefined &&
        !chain.some((der) => certificate!.raw.equals(der)) &&
        chain.length < 10
      ) {
        chain.push(certificate.raw);
        certificate = certificate.issuerCertificate;
      }
      socket.destroy();
      resolve(chain);
    });
  });
}

function unreachable(address: string, cause: unknown): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: `The control plane at ${address} can't be reached.`,
      next: "Check that it runs and that the address is right.",
    },
    { cause, reason: "control_plane_unreachable" },
  );
}

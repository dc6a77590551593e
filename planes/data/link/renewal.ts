/** Renews the link's certificate, with a new key that never leaves this plane. */
import { EnrollmentService, RenewRequestSchema, RenewResponseSchema } from "@biplane/control-wire";
import { createCertificateRequest } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { pemOf } from "./enroll.ts";
import type { Enrollment } from "./enrollment.ts";
import { guardDown, guardUp } from "./guard.ts";

const callMsMax = 10_000;

export async function renewEnrollment(enrollment: Enrollment, transport: Transport): Promise<Enrollment> {
  const { requestDer, privateKeyPem } = await createCertificateRequest(
    `${enrollment.cluster}.${enrollment.org}`,
  );
  const request = create(RenewRequestSchema, { certificateRequest: requestDer });
  guardUp(RenewRequestSchema, request);
  const client = createClient(EnrollmentService, transport);
  const response = await client.renew(request, { timeoutMs: callMsMax });
  guardDown(RenewResponseSchema, response);
  return { ...enrollment, identity: { certificatePem: pemOf(response.certificate), privateKeyPem } };
}

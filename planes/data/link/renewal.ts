/** Renews the link's certificate, with a new key that never leaves this plane. */
import { EnrollmentService, RenewRequestSchema, RenewResponseSchema } from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { createCertificateRequest } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { pemOf } from "./enroll.ts";
import type { Enrollment } from "./enrollment.ts";
import { guardDown, guardUp } from "./guard.ts";
import type { BorderLedger } from "./ledger.ts";

const callMsMax = 10_000;
const method = `${EnrollmentService.typeName}/Renew`;

export async function renewEnrollment(
  enrollment: Enrollment,
  transport: Transport,
  ledger: BorderLedger,
): Promise<Enrollment> {
  const { requestDer, privateKeyPem } = await createCertificateRequest(
    `${enrollment.cluster}.${enrollment.org}`,
  );
  const request = create(RenewRequestSchema, { certificateRequest: requestDer });
  guardUp(RenewRequestSchema, request);
  await ledger.record([
    { direction: border.Direction.UP, method, schema: RenewRequestSchema, message: request },
  ]);
  const client = createClient(EnrollmentService, transport);
  const response = await client.renew(request, { timeoutMs: callMsMax });
  await ledger.record([
    { direction: border.Direction.DOWN, method, schema: RenewResponseSchema, message: response },
  ]);
  guardDown(RenewResponseSchema, response);
  return { ...enrollment, identity: { certificatePem: pemOf(response.certificate), privateKeyPem } };
}

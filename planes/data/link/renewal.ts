/** Renews the link's certificate when two thirds of its life are over, with a new key. */
import { X509Certificate } from "node:crypto";
import { EnrollmentService, RenewRequestSchema, RenewResponseSchema } from "@biplane/control-wire";
import { type Clock, createCertificateRequest } from "@biplane/kit";
import { create } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { pemOf } from "./enroll.ts";
import type { Enrollment } from "./enrollment.ts";
import { guardDown, guardUp } from "./guard.ts";

const callMsMax = 10_000;

export function isRenewalDue(enrollment: Enrollment, clock: Clock): boolean {
  const { validFrom, validTo } = new X509Certificate(enrollment.identity.certificatePem);
  const [begin, end] = [Date.parse(validFrom), Date.parse(validTo)];
  return clock.now() > begin + ((end - begin) * 2) / 3;
}

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

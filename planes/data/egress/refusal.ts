/** A refusal as a task reads it: a status that every HTTP client knows, and what, why and next as JSON. */
import type { BiplaneError, ErrorCode } from "@biplane/base";

const statuses: Readonly<Partial<Record<ErrorCode, number>>> = {
  permission_denied: 403,
  invalid_argument: 400,
  resource_exhausted: 429,
  unimplemented: 405,
  failed_precondition: 409,
};
const badGateway = 502;

export function statusOf({ code }: Pick<BiplaneError, "code">): number {
  return statuses[code] ?? badGateway;
}

/** The whole answer to a CONNECT. Its first line says the reason, since many clients show nothing else. */
export function refusalHead(error: BiplaneError): string {
  const body = JSON.stringify(error);
  return [
    `HTTP/1.1 ${statusOf(error)} ${error.reason ?? error.code}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    "",
    body,
  ].join("\r\n");
}

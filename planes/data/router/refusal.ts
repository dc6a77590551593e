/** Answers a request before its body is read, in the form that the client's protocol wants. */
import type { ServerResponse } from "node:http";
import { isBiplaneError } from "@biplane/base";
import { toConnectError } from "@biplane/kit/connect-errors";
import type { HttpRequest, HttpResponse } from "@biplane/kit/connect-server";
import type { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, endStreamToJson, errorToJson } from "@connectrpc/connect/protocol-connect";

export function refuse(request: HttpRequest, response: HttpResponse, error: unknown): void {
  const connectError = toConnectError(error);
  const reason = isBiplaneError(error) ? error.reason : undefined;
  const reasonHeader: Record<string, string> = reason === undefined ? {} : { "biplane-reason": reason };
  const contentType = request.headers["content-type"] ?? "";
  if (contentType.startsWith("application/grpc"))
    answerGrpc(response, contentType, connectError, reasonHeader);
  else if (contentType.startsWith("application/connect+"))
    answerStream(response, contentType, connectError, reasonHeader);
  else answerUnary(response, connectError, reasonHeader);
}

function answerUnary(response: HttpResponse, error: ConnectError, headers: Record<string, string>): void {
  const plain = response as ServerResponse;
  plain.writeHead(codeToHttpStatus(error.code), { "content-type": "application/json", ...headers });
  plain.end(JSON.stringify(errorToJson(error, undefined)));
}

function answerStream(
  response: HttpResponse,
  contentType: string,
  error: ConnectError,
  headers: Record<string, string>,
): void {
  const endStreamFlag = 0b10;
  const end = new TextEncoder().encode(
    JSON.stringify(endStreamToJson(new Headers(headers), error, undefined)),
  );
  const plain = response as ServerResponse;
  plain.writeHead(200, { "content-type": contentType, ...headers });
  plain.end(encodeEnvelope(endStreamFlag, end));
}

/** gRPC's "trailers only": the status travels in the headers. */
function answerGrpc(
  response: HttpResponse,
  contentType: string,
  error: ConnectError,
  headers: Record<string, string>,
): void {
  const plain = response as ServerResponse;
  const code: Code = error.code;
  plain.writeHead(200, {
    "content-type": contentType,
    "grpc-status": String(code),
    "grpc-message": encodeURIComponent(error.rawMessage),
    ...headers,
  });
  plain.end();
}

/** What every HTTP server does before a request is looked at: no request has two readings, no body outlives its answer. */
import { constants } from "node:http2";
import { MiB } from "@biplane/base";
import type { HttpHandler, HttpRequest } from "./connect-server.ts";
import { send } from "./html.ts";

/** Answers by itself what could be understood in two ways, and gets rid of bodies that the handler left unread. */
export function strictly(handler: HttpHandler): HttpHandler {
  return (request, response) => {
    // A response of HTTP/2 says that it is finished when its stream is closed, which is what is to be brought about.
    const answered = "stream" in request ? request.stream : response;
    answered.once("finish", () => discardBody(request));
    if (!isAmbiguous(request)) return handler(request, response);
    if (request.httpVersionMajor === 1) response.setHeader("connection", "close");
    send(response, 400, { "content-type": "text/plain" }, "The request can be understood in two ways.\n");
  };
}

/**
 * RFC 9112 sections 3.2 and 6.1, RFC 9113 section 8.3.1: Node takes the first of several hosts, the authority before the
 * host, and codings besides `chunked`; a balancer before it may choose otherwise.
 */
function isAmbiguous(request: HttpRequest): boolean {
  const { host, ":authority": authority, "transfer-encoding": coding } = request.headers;
  if (request.httpVersionMajor === 2) return host !== undefined && host !== (authority ?? host);
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host");
  return hosts.length > 1 || (coding !== undefined && coding.toLowerCase() !== "chunked");
}

/** Bodies up to this size are read and dropped, so that the connection stays usable. */
const discardedBytesMax = 1 * MiB;

/** What is left of a request that has its answer; a larger body ends its connection, or its stream. */
function discardBody(request: HttpRequest): void {
  if ("stream" in request ? request.stream.readableEnded : request.complete) return;
  const declared = request.headers["content-length"];
  if (declared !== undefined && Number(declared) <= discardedBytesMax) request.resume();
  else if ("stream" in request) request.stream.close(constants.NGHTTP2_NO_ERROR);
  else request.socket?.destroySoon();
}

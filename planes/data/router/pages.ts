/** What the router answers to GET: its health, and pages for people. */
import type { HttpRequest, HttpResponse } from "@biplane/kit/connect-server";
import { html, send, sendPage, serveStylesheet } from "@biplane/kit/html";

export type Pages = (request: HttpRequest, response: HttpResponse, address: string) => Promise<void>;

export function createPages(): Pages {
  return async (request, response) => {
    request.resume();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return send(response, 405, { allow: "GET, HEAD, POST" }, "");
    }
    const path = (request.url ?? "").split("?")[0]!;
    if (path === "/healthz") return send(response, 200, { "content-type": "text/plain" }, "ok\n");
    if (serveStylesheet(request, response)) return;
    sendPage(response, 404, { title: "Not here", body: html`<p>There is no such page.</p>` });
  };
}

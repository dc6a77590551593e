/** Small pages without scripts: escaping by default, and headers that let nothing else in. */
import type { ServerResponse } from "node:http";
import type { HttpRequest, HttpResponse } from "./connect-server.ts";

/** Markup that is escaped already. */
export class Html {
  readonly markup: string;
  constructor(markup: string) {
    this.markup = markup;
  }
}

type Insertable = Html | string | number | readonly Insertable[] | undefined;

/** Everything inserted is escaped, unless it is `Html`. */
export function html(parts: TemplateStringsArray, ...values: readonly Insertable[]): Html {
  return new Html(parts.reduce((all, part, index) => all + render(values[index - 1]) + part));
}

function render(value: Insertable): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (Array.isArray(value)) return value.map(render).join("");
  return escapeHtml(String(value));
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}

export interface PageOptions {
  readonly title: string;
  readonly body: Html;
  /** Origins besides its own that forms may lead to, redirects included (browsers check those too). */
  readonly formTargets?: readonly string[];
  /** The browser asks again after this time. */
  readonly refreshSeconds?: number | undefined;
}

export const stylesheetPath = "/style.css";

const stylesheet = `:root{color-scheme:light dark;font-family:system-ui,sans-serif;line-height:1.5}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:clamp(1.4rem,5vw,2rem);overflow-wrap:anywhere}form{max-width:28rem}
main{display:block}label{display:block;margin-top:.75rem;font-weight:600}
input{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin-top:.25rem}
button{font:inherit;padding:.6rem 1.2rem;margin:1rem .5rem 0 0;cursor:pointer}
table{border-collapse:collapse;width:100%}th,td{text-align:start;padding:.3rem .6rem;border-bottom:1px solid #8886;vertical-align:top}
.list{overflow-x:auto}.list td,.list th{white-space:nowrap}.number{text-align:end}td{overflow-wrap:anywhere}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}.error{border-inline-start:.3rem solid #c33;padding-inline-start:.75rem}
`;

export function renderPage(options: PageOptions): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${options.refreshSeconds === undefined ? undefined : html`<meta http-equiv="refresh" content="${options.refreshSeconds}">`}
<title>${options.title} – Biplane</title>
<link rel="stylesheet" href="${stylesheetPath}">
</head>
<body><main>
<h1>${options.title}</h1>
${options.body}
</main></body>
</html>
`.markup;
}

/** No script, no frame, no foreign origin. */
export function pageHeaders(formTargets: readonly string[] = []): Record<string, string> {
  return {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": [
      "default-src 'none'",
      "style-src 'self'",
      `form-action ${["'self'", ...formTargets].join(" ")}`,
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ].join("; "),
    ...safeHeaders,
  };
}

export const safeHeaders: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
};

export function sendPage(response: HttpResponse, status: number, options: PageOptions): void {
  send(response, status, pageHeaders(options.formTargets), renderPage(options));
}

export function sendJson(response: HttpResponse, status: number, value: unknown): void {
  send(response, status, { "content-type": "application/json", ...safeHeaders }, JSON.stringify(value));
}

export function sendRedirect(
  response: HttpResponse,
  location: string,
  headers: Record<string, string> = {},
): void {
  send(response, 303, { location, ...safeHeaders, ...headers }, "");
}

/** Node's two kinds of responses have the same methods; their types don't overlap. */
export function send(
  response: HttpResponse,
  status: number,
  headers: Record<string, string>,
  body: string | Uint8Array,
): void {
  const plain = response as ServerResponse;
  plain.writeHead(status, headers);
  plain.end(body);
}

/** Serves the one stylesheet; false where the request is for something else. */
export function serveStylesheet(request: HttpRequest, response: HttpResponse): boolean {
  if (request.url !== stylesheetPath || request.method !== "GET") return false;
  send(response, 200, { "content-type": "text/css", "x-content-type-options": "nosniff" }, stylesheet);
  return true;
}

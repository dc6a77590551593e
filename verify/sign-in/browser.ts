/** For tests: as much of a browser as a sign-in needs: cookies by host, redirects, forms. */
import { request } from "node:https";

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

export interface Page extends Answer {
  readonly url: string;
}

export function fetchPage(
  rootPem: string,
  method: string,
  url: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, ca: rootPem, servername: "localhost" }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

export class Browser {
  readonly #rootPem: string;
  readonly #origins: ReadonlySet<string>;
  readonly #cookies = new Map<string, string>();

  /** Redirects are followed within these origins; others end the journey, as a command line's listener would. */
  constructor(rootPem: string, origins: readonly string[]) {
    this.#rootPem = rootPem;
    this.#origins = new Set(origins);
  }

  get cookieNames(): readonly string[] {
    return [...this.#cookies.keys()];
  }

  submit(url: string, form: Record<string, string>): Promise<Page> {
    return this.open(url, "POST", new URLSearchParams(form).toString());
  }

  async open(url: string, method = "GET", body?: string): Promise<Page> {
    const target = new URL(url);
    if (!this.#origins.has(target.origin)) return { status: 0, headers: {}, body: "", url: target.href };
    // Browsers ignore ports here, so router and authority on one host see each other's.
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = {
      ...(cookie === "" ? {} : { cookie }),
      ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
    };
    const answer = await fetchPage(this.#rootPem, method, target.href, headers, body);
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [name, ...value] = line.split(";")[0]!.split("=");
      this.#cookies.set(name!, value.join("="));
    }
    const { location } = answer.headers;
    if (typeof location === "string") return this.open(new URL(location, target).href);
    return { ...answer, url: target.href };
  }

  /** Fills in whatever the authority asks for on the way. */
  async signIn(page: Page, email: string, password: string): Promise<Page> {
    let current = page;
    if (current.body.includes('name="password"'))
      current = await this.submit(current.url, { email, password });
    if (current.body.includes("Allow access?")) current = await this.submit(current.url, {});
    return current;
  }
}

/** Hidden fields of a page's first form. */
export function hiddenFields(page: string): Record<string, string> {
  const fields: Record<string, string> = {};
  const form = page.split("</form>")[0]!;
  for (const [, name, value] of form.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)) {
    fields[name!] = value!;
  }
  return fields;
}

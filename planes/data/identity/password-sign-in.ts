/** Checks a name and a password, slowed down where much has failed, and remembers the browsers that people know. */
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { day, equalInConstantTime, Secret, second } from "@biplane/base";
import { type AttemptLimiter, passwordBudgets } from "./attempts.ts";
import type { Directory } from "./directory.ts";
import type { Sealing } from "./sealing.ts";
import type { Subject } from "./subject.ts";

const cookieName = "__Host-biplane-known";
const knownMs = 180 * day;

export class PasswordSignIn {
  readonly #directory: Directory;
  readonly #limiter: AttemptLimiter;
  readonly #sealing: Sealing;

  constructor(directory: Directory, limiter: AttemptLimiter, sealing: Sealing) {
    this.#directory = directory;
    this.#limiter = limiter;
    this.#sealing = sealing;
  }

  /** The person, or undefined; throws `resource_exhausted` where too much has failed. */
  check(email: string, password: string, request: IncomingMessage): Promise<Subject | undefined> {
    const name = this.#directory.loginHash(email);
    const address = request.socket.remoteAddress ?? "";
    const budgets = passwordBudgets({ name, address, knownBrowser: this.#knownBrowser(name, request) });
    return this.#limiter.attempt(budgets, () => this.#directory.signIn(email, new Secret(password)));
  }

  /** A cookie that gives this browser a count of its own for this name. It signs nobody in. */
  knownBrowserCookie(email: string): string {
    const id = randomBytes(16).toString("base64url");
    const value = `${id}.${this.#proof(this.#directory.loginHash(email), id)}`;
    return `${cookieName}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${knownMs / second}`;
  }

  #knownBrowser(name: string, request: IncomingMessage): string | undefined {
    const cookies = (request.headers.cookie ?? "").split(/; */);
    const value = cookies.find((one) => one.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1);
    const [id = "", proof = ""] = (value ?? "").split(".");
    const expected = this.#proof(name, id);
    return equalInConstantTime(Buffer.from(proof), Buffer.from(expected)) ? id : undefined;
  }

  #proof(name: string, id: string): string {
    return this.#sealing.hash("known browser", JSON.stringify([name, id]));
  }
}

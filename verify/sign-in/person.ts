/** People of an authority as checks need them: invited, with a password of their own, signed in as people are. */
import { identity } from "@biplane/data-wire";
import { createClient, type Transport } from "@connectrpc/connect";
import { fetchPage } from "./browser.ts";
import { type Authority, type Login, signInByPkce } from "./flows.ts";

const password = "correct horse battery";

export class Person {
  readonly email: string;
  readonly subject: string;
  readonly #at: Authority;

  private constructor(at: Authority, email: string, subject: string) {
    this.#at = at;
    this.email = email;
    this.subject = subject;
  }

  /** `administrator` is who invites. */
  static async invite(at: Authority, administrator: Transport, email: string, role: string): Promise<Person> {
    const users = createClient(identity.UserService, administrator);
    const { user, invitation } = await users.createUser({ email, name: "Ada", role });
    const form = new URLSearchParams({ code: invitation!.code, new_password: password }).toString();
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await fetchPage(at.rootPem, "POST", `${at.authority}/invitation`, type, form);
    if (answer.status !== 200) throw new Error(`The invitation was answered with ${answer.status}.`);
    return new Person(at, email, user!.subject);
  }

  /** With the password, and agreeing. */
  readonly login: Login = (browser, page) => browser.signIn(page, this.email, password);

  /** Its access token. */
  async signIn(): Promise<string> {
    return (await signInByPkce(this.#at, this.login)).access;
  }
}

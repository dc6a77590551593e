/** A person's way to the customer's own OpenID provider and back, page by page as in a browser (claim IAM-1). */
import { Browser } from "./browser.ts";
import { type Authority, signInByPkce, type Tokens } from "./flows.ts";

export interface ForeignPlace {
  readonly issuer: string;
  readonly rootPem: string;
}

/** Whatever is said to be the password: the provider is one for tests. */
export function signInAtProvider(at: Authority, provider: ForeignPlace, login: string): Promise<Tokens> {
  const browser = new Browser(`${at.rootPem}\n${provider.rootPem}`, [at.authority, provider.issuer]);
  return signInByPkce(
    at,
    async (_, page) => {
      const [, link = ""] = /href="([^"]+\/federated)"/.exec(page.body) ?? [];
      const asked = await browser.open(new URL(link, page.url).href);
      const agreed = await browser.submit(asked.url, { prompt: "login", login, password: "anything" });
      const back = await browser.submit(agreed.url, { prompt: "consent" });
      return browser.signIn(back, "", "");
    },
    browser,
  );
}

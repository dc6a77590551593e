/** TRUST-2: the data plane runs only what an authorized person or program gave it. */
import { trustClaim } from "./trust.ts";

export const trust2 = trustClaim({
  id: "TRUST-2",
  text: "The data plane runs only what an authorized person or program gave it: an intent carries references, the content is the run document that the router stored.",
  async more({ hostile, client, honestRun }, _, seen) {
    await hostile.sendIntentOfNobody();
    await honestRun();
    await hostile.beHonest();
    const runs = await client.list();
    const found = runs
      .filter(({ name }) => name === "never-submitted")
      .map(({ name }) => `the run ${name} exists`);
    seen.none("sent an intent for a run that nobody had submitted", found);
  },
});

/**
 * Looks up the hosts that tasks were allowed, by the machine's own resolver. It works in the few threads that files are
 * read in, too: a slow answer must not take all of them.
 */
import { lookup } from "node:dns/promises";
import { BiplaneError, second } from "@biplane/base";

export type Lookup = (name: string) => Promise<readonly string[]>;

const lookupsMax = 2;
const answerMsMax = 5 * second;

export class Resolver {
  readonly #lookup: Lookup;
  readonly #underWay = new Map<string, Promise<readonly string[]>>();

  constructor(look: Lookup = lookupAll) {
    this.#lookup = look;
  }

  /** All addresses of a name. Rejects where there is none, or none in time. */
  readonly resolve = async (name: string): Promise<readonly string[]> => {
    const signal = AbortSignal.timeout(answerMsMax);
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new BiplaneError("deadline_exceeded", "No answer.")));
    });
    late.catch(() => {});
    while (!this.#underWay.has(name) && this.#underWay.size >= lookupsMax) {
      await Promise.race([late, ...[...this.#underWay.values()].map((one) => one.catch(() => {}))]);
    }
    return Promise.race([late, this.#underWay.get(name) ?? this.#start(name)]);
  };

  #start(name: string): Promise<readonly string[]> {
    const asked = this.#lookup(name).finally(() => this.#underWay.delete(name));
    asked.catch(() => {});
    this.#underWay.set(name, asked);
    return asked;
  }
}

async function lookupAll(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

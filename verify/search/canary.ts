/**
 * Canaries: values that appear nowhere by chance, planted as customer data and searched for where customer data must not
 * be (claims CLS-3, CLS-4). All canaries of one run share a random marker, so that one search finds any of them.
 */
import { randomBytes } from "node:crypto";
import { type Finding, Needles, type Searchable } from "./needles.ts";

export type { Finding } from "./needles.ts";

export class Canaries implements Searchable {
  /** Letters and digits only, so that escaping for URLs or JSON leaves it as it is, unless everything is escaped. */
  readonly marker = `canary${randomBytes(10).toString("hex")}`;
  readonly #needles = new Needles([{ name: "unknown", text: this.marker }]);

  /** A value to plant; `kind` says what as, in lower-case letters and digits. */
  plant(kind: string): string {
    if (!/^[a-z0-9]{1,20}$/.test(kind)) throw new Error(`${kind} is no kind of canary.`);
    return `${this.marker}x${kind}x`;
  }

  /** Everything that is found in these bytes, in any form, compressed streams included. */
  search(bytes: Buffer, where: string): Finding[] {
    return this.#needles.search(bytes, where, kindAfter);
  }
}

function kindAfter(bytes: Buffer, end: number, form: string): string {
  if (form !== "plain") return "unknown";
  return /^x([a-z0-9]+)x/.exec(bytes.toString("latin1", end, end + 24))?.[1] ?? "unknown";
}

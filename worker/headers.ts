/**
 * HTTP headers for what is bundled with a worker's snapshot. Node's own `Headers` loads all of `fetch`, a sixth of the
 * processor time that a worker takes to start. A task's code has Node's. As in https://fetch.spec.whatwg.org/#headers-class.
 */

const tokenForm = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const blanksAround = /^[\t\n\r ]+|[\t\n\r ]+$/g;
/** Above Latin-1, or what would end a header. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for
const valueNever = /[^\x01-\xff]|[\r\n]/;

type Fields = Iterable<readonly [string, string]> | Readonly<Record<string, string>>;

export class Headers {
  readonly #values = new Map<string, string>();
  readonly #cookies: string[] = [];

  constructor(fields: Fields = {}) {
    const entries = Symbol.iterator in fields ? fields : Object.entries(fields);
    for (const [name, value] of entries) this.append(name, value);
  }

  append(name: string, value: string): void {
    const key = checkedName(name);
    const next = checkedValue(name, value);
    if (key === "set-cookie") this.#cookies.push(next);
    const before = this.#values.get(key);
    this.#values.set(key, before === undefined ? next : `${before}, ${next}`);
  }

  set(name: string, value: string): void {
    const key = checkedName(name);
    const next = checkedValue(name, value);
    this.delete(key);
    if (key === "set-cookie") this.#cookies.push(next);
    this.#values.set(key, next);
  }

  delete(name: string): void {
    const key = checkedName(name);
    if (key === "set-cookie") this.#cookies.length = 0;
    this.#values.delete(key);
  }

  get(name: string): string | null {
    return this.#values.get(checkedName(name)) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(checkedName(name));
  }

  getSetCookie(): string[] {
    return [...this.#cookies];
  }

  /** By name; each cookie by itself. */
  *entries(): Generator<[string, string]> {
    for (const name of [...this.#values.keys()].sort()) {
      const values = name === "set-cookie" ? this.getSetCookie() : [this.get(name) ?? ""];
      for (const value of values) yield [name, value];
    }
  }

  *keys(): Generator<string> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): Generator<string> {
    for (const [, value] of this.entries()) yield value;
  }

  forEach(visit: (value: string, name: string, headers: this) => void, self?: unknown): void {
    for (const [name, value] of this.entries()) visit.call(self, value, name, this);
  }

  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries();
  }
}

function checkedName(name: string): string {
  const text = String(name);
  if (!tokenForm.test(text)) throw new TypeError(`${JSON.stringify(text)} is no name of a header.`);
  return text.toLowerCase();
}

function checkedValue(name: string, value: string): string {
  const text = String(value).replace(blanksAround, "");
  if (valueNever.test(text)) throw new TypeError(`The header ${name} can't have such a value.`);
  return text;
}

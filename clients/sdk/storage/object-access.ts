/**
 * Where files are read and written: the cluster's store inside a task, this machine's disk outside of one. Files,
 * directories and data frames know their URI only and ask for the access that is current where they are used.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { LocalAccess } from "./local-access.ts";

export interface StoredObject {
  readonly uri: string;
  readonly sizeBytes: number;
}

export interface ObjectAccess {
  /** Prefix without a slash at its end, below which new objects may be made. */
  readonly newObjectsPrefix: string;
  read(uri: string): AsyncIterable<Uint8Array>;
  write(uri: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<void>;
  /** All objects below the prefix, by name. */
  list(prefix: string): AsyncIterable<StoredObject>;
}

const current = new AsyncLocalStorage<ObjectAccess>();
const local = new LocalAccess();
let counter = 0;

export function objectAccess(): ObjectAccess {
  return current.getStore() ?? local;
}

export function withObjectAccess<T>(access: ObjectAccess, work: () => T): T {
  return current.run(access, work);
}

/** A URI that nothing has used: later writes of an attempt never replace earlier ones. */
export function newObjectUri(name: string): string {
  if (!/^[^/\0]{1,200}$/.test(name) || name === "." || name === "..") {
    throw new TypeError(`${JSON.stringify(name)} is not a file name: give one without slashes.`);
  }
  counter += 1;
  return `${objectAccess().newObjectsPrefix}/${counter}/${name}`;
}

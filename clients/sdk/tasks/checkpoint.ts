/** What an attempt leaves behind for the next one: one object, replaced by each save. */
import type { ObjectAccess } from "../storage/object-access.ts";

export interface Checkpoint {
  /** Where this attempt's checkpoint is written. */
  readonly uri: string;
  /** Where the previous attempt's is; undefined on the first attempt. */
  readonly previousUri: string | undefined;
  save(content: string | Uint8Array): Promise<void>;
  /** The previous attempt's checkpoint; undefined where there is none. */
  load(): Promise<Uint8Array | undefined>;
}

export function createCheckpoint(
  access: ObjectAccess,
  uri: string,
  previousUri: string | undefined,
): Checkpoint {
  return {
    uri,
    previousUri,
    save: (content) => access.write(uri, typeof content === "string" ? Buffer.from(content) : content),
    load: () => (previousUri === undefined ? Promise.resolve(undefined) : loadIfAny(access, previousUri)),
  };
}

async function loadIfAny(access: ObjectAccess, uri: string): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of access.read(uri)) chunks.push(chunk);
  } catch (error) {
    if ((error as { code?: unknown }).code === "not_found") return undefined;
    throw error;
  }
  return Buffer.concat(chunks);
}

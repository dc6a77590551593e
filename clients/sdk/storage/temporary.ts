/** Names for local copies: each in a folder of its own, so that two files of one name don't meet. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export async function temporaryPath(name: string): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), "biplane-")), name);
}

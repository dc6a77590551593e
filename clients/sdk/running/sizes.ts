/** How much a value may weigh that travels between actions. */
import { limits } from "@biplane/base";
import { ValidationError } from "../tasks/errors.ts";

/** More than this would be refused on its way, after retries that can't help. */
export function requireFits(what: string, bytes: Uint8Array): void {
  if (bytes.byteLength <= limits.inputBytesMax) return;
  throw new ValidationError(
    `${what} has ${bytes.byteLength} bytes; ${limits.inputBytesMax} are allowed. Pass large data as a file.`,
  );
}

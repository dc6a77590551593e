/** Tasks that move files, for tests of size and of the planes' memory. */
import { createHash } from "node:crypto";
import { File, file, task, z } from "@biplane/sdk";

/** Reads a file once and writes a copy of it, both as streams; the digest is of what was read. */
export const copyFile = task(
  {
    name: "copy-file",
    input: z.object({ source: file() }),
    output: z.object({ copy: file(), sha256: z.string() }),
  },
  async ({ source }) => {
    const hash = createHash("sha256");
    async function* hashed() {
      for await (const chunk of source.stream()) {
        hash.update(chunk);
        yield chunk;
      }
    }
    const copy = await File.write("copy.bin", hashed());
    return { copy, sha256: hash.digest("hex") };
  },
);

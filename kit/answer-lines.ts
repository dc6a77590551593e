/** A program's conversation over its standard streams: one answer for each line, until the input ends. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { MiB } from "@biplane/base";

const lineCharactersMax = 4 * MiB;

export async function answerLines(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  answer: (line: string) => string,
): Promise<void> {
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const said = line.length > lineCharactersMax ? "unfit: the line is too long" : answer(line);
    // A reader that is slow slows the asking down; nothing piles up here.
    if (!output.write(`${said}\n`)) await once(output, "drain");
  }
}

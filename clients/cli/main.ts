/** `biplane`: reads the command line, runs the command, and says what went wrong in words and by exit code. */
import { isBiplaneError } from "@biplane/base";
import { fromConnectError } from "@biplane/kit/connect-errors";
import { ConnectError } from "@connectrpc/connect";
import { CommanderError } from "commander";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { createProgram } from "./program.ts";

export async function main(words: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(words, { from: "user" });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  // Commander has printed what it has to say.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  const known = error instanceof ConnectError ? unwrap(error) : error;
  if (isBiplaneError(known)) {
    const { what, why, next } = known.text;
    process.stderr.write(`biplane: ${what}\n`);
    if (why !== undefined) process.stderr.write(`  why:  ${why}\n`);
    if (next !== undefined) process.stderr.write(`  next: ${next}\n`);
    return exitCodeOf(known.code);
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`biplane: Something unexpected happened; this is a defect.\n${text}\n`);
  return exitCodes.unexpected;
}

/** What failed before a call went out is wrapped by the transport; its own words are better. */
function unwrap(error: ConnectError): unknown {
  return isBiplaneError(error.cause) ? error.cause : fromConnectError(error);
}

// A reader that has seen enough, as in `biplane border | head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const exitCode = await main(process.argv.slice(2));
// A pipe takes what was written later than it was written: what is still on its way would end with the process.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))),
);
// Connections that are kept open for the next request must not keep a finished command alive.
process.exit(exitCode);

/** A passphrase comes from an owner-only file or from the terminal, never from an argument, which others can see. */
import { readFile, stat } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { BiplaneError, Secret } from "@biplane/base";

const groupAndOthers = 0o077;

/** `isNew`: asked for twice, since a typing error would make the file worthless. */
export async function readPassphrase(
  file: string | undefined,
  { isNew }: { readonly isNew: boolean },
): Promise<Secret<string>> {
  if (file !== undefined) return fromFile(file);
  if (!process.stdin.isTTY) throw noTerminal();
  const passphrase = await ask("Passphrase of the backup: ");
  if (!isNew || (await ask("The same again: ")) === passphrase) return new Secret(passphrase);
  throw new BiplaneError("invalid_argument", {
    what: "The two passphrases differ.",
    next: "Begin again.",
  });
}

async function fromFile(path: string): Promise<Secret<string>> {
  const { mode } = await stat(path);
  if ((mode & groupAndOthers) !== 0) {
    throw new BiplaneError("failed_precondition", {
      what: `The passphrase file ${path} is open to other users.`,
      next: `Run: chmod 600 ${path}`,
    });
  }
  return new Secret((await readFile(path, "utf8")).replace(/\r?\n$/, ""));
}

/** Nothing that is typed is shown. */
async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}

function noTerminal(): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: "There is no terminal to ask for the passphrase.",
    next: "Give --passphrase-file FILE, readable for you alone.",
  });
}

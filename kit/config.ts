import { BiplaneError } from "@biplane/base";

/** Option, else environment variable, else an error that names both. */
export function required(option: string | undefined, optionName: string, variable: string): string {
  const value = option ?? process.env[variable];
  if (value !== undefined && value !== "") return value;
  throw new BiplaneError("invalid_argument", {
    what: `${optionName} is missing.`,
    next: `Give ${optionName} on the command line or set ${variable}.`,
  });
}

/** What is wrong with a command line, by Node's `parseArgs`, without its advice for programmers; undefined for other errors. */
export function wrongOption(error: unknown): string | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!String(code).startsWith("ERR_PARSE_ARGS_")) return undefined;
  return `${message.split(". ")[0]}. (--help shows what there is)`;
}

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

/**
 * How a program gets its environment: over an inherited socket, read inside the sandbox after all privileges are gone.
 * In the environment of what makes the sandbox, `LD_PRELOAD` and its like would act with its rights; in its arguments,
 * credentials would be in every list of processes.
 */
import { BiplaneError } from "@biplane/base";

const readEnvironment = 'eval "$(cat <&3)"; exec 3<&-; exec "$@"';

/** What to run in place of the program itself; it expects the environment on file descriptor 3. */
export function commandLine(program: readonly string[]): readonly string[] {
  return ["/bin/sh", "-c", readEnvironment, "sh", ...program];
}

/** The environment as a shell reads it. Throws where a name or a value can't be in an environment. */
export function exportStatements(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment).map(exportStatement).join("");
}

function exportStatement([name, value]: [string, string]): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes("\0"))
    return `export ${name}='${value.replaceAll("'", "'\\''")}'\n`;
  throw new BiplaneError(
    "invalid_argument",
    {
      what: `The environment variable ${JSON.stringify(name.slice(0, 80))} can't be set.`,
      why: "A name has letters, digits and underscores; a value has no zero bytes.",
      next: "Rename it in the task's environment.",
    },
    { reason: "environment_invalid" },
  );
}

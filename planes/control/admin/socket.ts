/** The operator's operations at a running control plane: checked on their way in, then done by the local admin. */
import { BiplaneError } from "@biplane/base";
import type { Closeable } from "@biplane/kit";
import { findLocalOperations, serveLocalOperations } from "@biplane/kit/local-operations";
import { type Admin, type Answers, type Operation, operations, type Parameters } from "./admin.ts";

export function serveAdmin(folder: string, admin: Admin): Promise<Closeable> {
  return serveLocalOperations(folder, async (operation, parameters) => {
    if (!Object.hasOwn(operations, operation)) {
      throw new BiplaneError("unimplemented", `There is no operation ${operation}.`);
    }
    const name = operation as Operation;
    const parsed = operations[name].safeParse(parameters);
    if (parsed.success) return admin.run(name, parsed.data);
    throw new BiplaneError("invalid_argument", {
      what: `The options of ${name} are not right.`,
      why: parsed.error.message,
    });
  });
}

/** The admin of the process that runs on this folder; undefined where none does. */
export async function findRunningAdmin(folder: string): Promise<Admin | undefined> {
  const run = await findLocalOperations(folder);
  if (run === undefined) return undefined;
  return {
    run: async <O extends Operation>(operation: O, parameters: Parameters<O>) =>
      (await run(operation, parameters)) as Answers[O],
  };
}

/** `biplane classes`: the class of every field that is served, stored, logged or audited (claim CLS-1). */
import { BiplaneError } from "@biplane/base";
import { type RegisterRow, registerRows } from "@biplane/classification/register";
import { Command } from "commander";
import { type OutputFormat, printRecords } from "../output/print.ts";
import { withOutput } from "./common.ts";

export function classesCommand(): Command {
  return withOutput(
    new Command("classes")
      .description("show the data class of every field and column, and what may reach a control plane")
      .argument("[field]", "whole names or parts of them: flyteidl2.task.RunSpec, run.detail, subject"),
  ).action(showClasses);
}

function showClasses(field: string | undefined, options: { readonly output: OutputFormat }): void {
  const rows = registerRows().filter(({ name }) => field === undefined || isPartOf(field, name));
  if (rows.length === 0) {
    throw new BiplaneError("not_found", {
      what: `Nothing in the register is called ${field}.`,
      next: "Give less of the name, or nothing to see all of it.",
    });
  }
  printRecords<RegisterRow>(
    rows,
    [
      { title: "FIELD", value: ({ name }) => name },
      { title: "CLASS", value: (row) => row.class },
      { title: "KIND", value: ({ kind }) => kind },
      { title: "KEPT", value: ({ kept }) => kept },
      { title: "TYPE", value: ({ type, holds }) => type ?? holds },
    ],
    options.output,
  );
}

/** Whole words between dots, so that `run` does not find `runtime`. */
function isPartOf(part: string, name: string): boolean {
  return `.${name}.`.includes(`.${part}.`);
}

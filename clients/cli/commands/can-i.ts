/** `biplane can-i`: whether something is allowed, and which policy and which assignments decide that. */
import type { policy as wire } from "@biplane/data-wire";
import { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import { printRecord } from "../output/print.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";
import { assignmentRecord } from "./roles.ts";

interface CanIOptions extends CommonOptions {
  readonly as?: string;
  readonly group: readonly string[];
}

export function canICommand(): Command {
  return withCommonOptions(
    new Command("can-i")
      .description("say whether you, or somebody else, may do something, and why; ends with 0 for yes")
      .argument("<verb>", "e.g. read, create, abort, write")
      .argument("<resource>", "e.g. run, task, data, policy; with -p and -d where")
      .option("--as <user>", "somebody else: e-mail address, or id of a person or program")
      .option("--group <name>", "as if they were in it; may be repeated", collect, []),
  ).action(async (verb: string, resource: string, options: CanIOptions) => {
    const { policy } = await connectWith(options);
    const where = { project: options.project ?? "", domain: options.domain ?? "" };
    const asked = { permission: `${resource}.${verb}`, ...where };
    const { explanation } =
      options.as === undefined
        ? await policy.canI(asked)
        : await policy.explain({ ...asked, subject: options.as, groups: [...options.group] });
    if (explanation === undefined) return;
    printExplanation(explanation, asked.permission, options);
    if (!explanation.allowed) process.exitCode = exitCodes.denied;
  });
}

const collect = (value: string, all: readonly string[]) => [...all, value];

function printExplanation(
  { subject, allowed, because, refusal, policyVersion }: wire.Explanation,
  permission: string,
  { output }: CommonOptions,
): void {
  const reasons = because.map(({ policy, assignments }) => ({
    policy: policy?.id ?? "",
    assignments: assignments.map(assignmentRecord),
    text: policy?.text ?? "",
  }));
  if (output !== "table") {
    const record = { subject, permission, allowed, refusal, because: reasons, policyVersion };
    printRecord(record, output);
    return;
  }
  printRecord(
    { [allowed ? "yes" : "no"]: `${subject} ${allowed ? "may" : "may not"} ${permission}` },
    output,
  );
  if (refusal !== "") printRecord({ because: refusal }, output);
  for (const { policy, assignments } of reasons) {
    printRecord({ policy }, output);
    for (const one of assignments) printRecord({ "  by": `${one.assignment}, ${whereOf(one)}` }, output);
  }
  if (reasons.length === 0 && refusal === "")
    printRecord({ because: "no assignment permits it here" }, output);
}

function whereOf({ role, user, group, project, domain }: ReturnType<typeof assignmentRecord>): string {
  const who = user ?? `group ${group}`;
  const place = [project, domain].filter((part) => part !== "").join("/");
  return `${role} for ${who} in ${place === "" ? "the whole organization" : place}`;
}

/** `biplane verify`: proves the claims on an installation of one's own, or shows that their checks can fail. */
import { BiplaneError, isBiplaneError } from "@biplane/base";
import { Command, CommanderError } from "commander";
import { claims } from "./claims/index.ts";
import type { Claim } from "./frame/claim.ts";
import { controlAll, proveAll } from "./frame/runner.ts";
import { openSubject, type Subject } from "./frame/subject.ts";
import { isGood, type Outcome, toJson, toText } from "./output/print.ts";
import { ProgressLine } from "./output/progress.ts";
import { checkReport } from "./report/check.ts";
import { writeReport } from "./report/write.ts";

const interruptedExitCode = 130;
const failedExitCode = 1;
const usageExitCode = 2;

interface Options {
  readonly claims?: string;
  readonly control?: boolean;
  readonly json?: boolean;
  readonly remote?: boolean;
  readonly profile?: string;
  readonly report?: string;
  readonly check?: string;
  readonly root?: string;
}

function program(): Command {
  return new Command("biplane verify")
    .description("prove each data-protection claim on the running installation, and leave evidence")
    .option("--claims <ids>", "only these, e.g. CLS-3,TLS-1")
    .option("--control", "do the deliberate violation of each claim instead, which its check has to catch")
    .option("--json", "print the outcome as JSON")
    .option("--remote", "judge from the customer's side alone, even where the planes run on this machine")
    .option("--report <name>", "leave signed evidence as NAME.json and NAME.html")
    .option("--check <file>", "check such a report, offline")
    .option("--root <fingerprint>", "with --check: the organization's root that has to have signed")
    .option("--profile <name>", "profile, by name or path of its file (BIPLANE_PROFILE)")
    .addHelpText(
      "after",
      "\nExit code 0: nothing failed. 1: a claim failed or a control was not caught. Others as of `biplane`.",
    )
    .exitOverride();
}

async function main(): Promise<number> {
  const options = program().parse(process.argv).opts<Options>();
  if (options.check !== undefined) return check(options.check, options.root);
  const chosen = choose(options.claims);
  const startedMs = Date.now();
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interrupted.abort());
  const { profile } = options;
  const subject = await openSubject({
    ...(profile === undefined ? {} : { profile }),
    remote: options.remote ?? false,
    signal: interrupted.signal,
  });
  try {
    const outcome = await verify(subject, chosen, options);
    if (interrupted.signal.aborted) return interruptedExitCode;
    const width = process.stdout.isTTY ? process.stdout.columns : undefined;
    process.stdout.write(`${options.json === true ? toJson(outcome) : toText(outcome, claims, width)}\n`);
    if (options.report !== undefined) {
      const written = await writeReport(subject, outcome, claims, { path: options.report, startedMs });
      process.stderr.write(`Signed evidence: ${written.join(", ")}\n`);
    }
    return isGood(outcome) ? 0 : failedExitCode;
  } finally {
    await subject.undo.close();
  }
}

async function check(path: string, root: string | undefined): Promise<number> {
  const { statement, rootFingerprint } = await checkReport(path, root);
  const { org, cluster, endedAt, claims: judged, controls } = statement.predicate;
  process.stdout.write(`${toText({ claims: judged, controls }, claims, process.stdout.columns)}\n`);
  process.stdout.write(
    `\nGenuine: signed by cluster ${cluster} of ${org}, ${endedAt}, under the root ${rootFingerprint}.\n`,
  );
  if (root === undefined)
    process.stdout.write("Compare the root with the one that you know, or give it by --root.\n");
  return 0;
}

async function verify(subject: Subject, chosen: readonly Claim[], options: Options): Promise<Outcome> {
  const isRemote = subject.remoteBecause !== undefined;
  if (options.control !== true) {
    const progress = new ProgressLine(chosen.length);
    const results = await proveAll(chosen, subject, progress);
    progress.done();
    return { claims: results, controls: [] };
  }
  // A violation on the planes' machine can't be done from anywhere else.
  const possible = chosen.filter(({ from, controlFrom }) => !isRemote || (controlFrom ?? from) === "client");
  const progress = new ProgressLine(possible.length);
  const results = await controlAll(possible, subject, progress);
  progress.done();
  return { claims: [], controls: results };
}

function choose(ids: string | undefined): readonly Claim[] {
  if (ids === undefined) return claims;
  const wanted = ids.split(",").map((id) => id.trim().toUpperCase());
  const unknown = wanted.filter((id) => !claims.some((claim) => claim.id === id));
  if (unknown.length > 0) {
    throw new BiplaneError("invalid_argument", {
      what: `There is no claim ${unknown.join(", ")}.`,
      next: `Choose among ${claims.map(({ id }) => id).join(", ")}.`,
    });
  }
  return claims.filter(({ id }) => wanted.includes(id));
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode;
  const text =
    error instanceof Error
      ? isBiplaneError(error)
        ? error.message
        : (error.stack ?? error.message)
      : String(error);
  process.stderr.write(`biplane verify: ${text}\n`);
  return isBiplaneError(error, "invalid_argument") ? usageExitCode : failedExitCode;
}

process.exit(await main().catch(report));

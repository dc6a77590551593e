/** What all commands that talk to a data plane have in common. */
import { defaultDomains } from "@biplane/base";
import { type Connection, openConnection } from "@biplane/sdk/remote";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type OutputFormat, outputFormats } from "../output/print.ts";

export interface CommonOptions {
  readonly profile?: string;
  readonly project?: string;
  readonly domain?: string;
  readonly cluster?: string;
  readonly output: OutputFormat;
}

/** Options that say where and as what; every command has them, so that they stand where people write them. */
export function withCommonOptions(command: Command): Command {
  return withOutput(command)
    .option("--profile <name>", "profile, by name or path of its file (BIPLANE_PROFILE)")
    .option("-p, --project <name>", "project (BIPLANE_PROJECT)")
    .addOption(new Option("-d, --domain <name>", "domain (BIPLANE_DOMAIN)").choices(defaultDomains))
    .option("--cluster <name>", "another cluster of the organization than the profile's");
}

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option("-o, --output <format>", "how results are printed").choices(outputFormats).default("table"),
  );
}

export function connectWith(options: Partial<CommonOptions>): Promise<Connection> {
  const { profile, project, domain, cluster } = options;
  return openConnection({
    ...(profile === undefined ? {} : { profile }),
    ...(project === undefined ? {} : { project }),
    ...(domain === undefined ? {} : { domain }),
    ...(cluster === undefined ? {} : { cluster }),
  });
}

/** What Commander has to say about a command line ends the command like any other failure, and says where to look. */
export function explainErrors(command: Command): Command {
  return command
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError("(--help shows what there is)")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "biplane: ")) });
}

const countMax = 1_000_000;

/** For options that count something. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0 && count <= countMax) return count;
  throw new InvalidArgumentError(`It is a whole number from 1 to ${countMax}.`);
}

/** Aborts on the first Ctrl-C; a second one ends the process as usual. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  return controller.signal;
}

/** `biplane keys`: the customer's keys, which stand above everything that is stored (claims CMK-1 to CMK-3). */
import { BiplaneError } from "@biplane/base";
import { keys } from "@biplane/data-wire";
import { Command } from "commander";
import { printRecord, printRecords } from "../output/print.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";
import { domainsOf } from "./require-place.ts";
import { signingKeyCommands } from "./signing-keys.ts";

interface ChangeOptions extends CommonOptions {
  readonly yes?: boolean;
}

export function keysCommand(): Command {
  const list = withCommonOptions(
    new Command("list").description("show every version, and whose data is under it"),
  );
  const rotate = withCommonOptions(
    new Command("rotate")
      .description("make a new version for new data; old data stays readable")
      .argument("[key]", "name of the key", "customer"),
  );
  const assign = withCommonOptions(
    new Command("assign")
      .description("put new data of a project under a key of its own")
      .argument("<project>")
      .argument("<key>", "made where there is none"),
  );
  const command = new Command("keys")
    .description("look at the customer's keys, rotate, disable and enable them")
    .addCommand(list.action(listKeys))
    .addCommand(rotate.action(rotateKey))
    .addCommand(changeCommand("disable", "make everything under a version unreadable until it is enabled"))
    .addCommand(changeCommand("enable", "make what is under a version readable again"))
    .addCommand(
      changeCommand("destroy", "make everything under a version unreadable for ever").option(
        "--yes",
        "do it: nothing brings the data back",
      ),
    )
    .addCommand(assign.action(assignKey));
  for (const signing of signingKeyCommands()) command.addCommand(signing);
  return command;
}

type Change = "disable" | "enable" | "destroy";

function changeCommand(change: Change, description: string): Command {
  return withCommonOptions(
    new Command(change)
      .description(description)
      .argument("<version>", "number or id, as `biplane keys list` shows it")
      .argument("[key]", "name of the key", "customer"),
  ).action((version: string, key: string, options: ChangeOptions) =>
    changeKey(change, { key, version }, options),
  );
}

async function listKeys(options: CommonOptions): Promise<void> {
  const { keys: client } = await connectWith(options);
  const answer = await client.listKeys({});
  const records = answer.keys.map(({ version, state, current, projects }) => ({
    key: version?.key ?? "",
    version: version?.version ?? "",
    state: keys.KeyState[state].toLowerCase(),
    current,
    projects,
    provider: answer.provider,
  }));
  printRecords(
    records,
    [
      { title: "KEY", value: ({ key }) => key },
      { title: "VERSION", value: ({ version }) => version },
      { title: "STATE", value: ({ state }) => state },
      { title: "NEW DATA", value: ({ current }) => (current ? "yes" : "no") },
      { title: "PROJECTS", value: ({ projects }) => projects.join(", ") },
      { title: "PROVIDER", value: ({ provider }) => provider },
    ],
    options.output,
    "No key protects anything yet.",
  );
}

async function rotateKey(key: string, options: CommonOptions): Promise<void> {
  const { keys: client } = await connectWith(options);
  const names = new Set((await client.listKeys({})).keys.map(({ version }) => version?.key));
  if (!names.has(key)) throw keyNotFound(key, [...names].join(", "));
  const { version } = await client.rotateKey({ key });
  printRecord({ key, version: version?.version }, options.output);
}

async function changeKey(
  change: Change,
  version: { readonly key: string; readonly version: string },
  options: ChangeOptions,
): Promise<void> {
  if (change === "destroy" && options.yes !== true) throw unconfirmed(version);
  const { keys: client } = await connectWith(options);
  const calls = { disable: client.disableKey, enable: client.enableKey, destroy: client.destroyKey };
  await calls[change]({ version });
  const state = { disable: "disabled", enable: "enabled", destroy: "destroyed" }[change];
  printRecord({ ...version, state }, options.output);
}

async function assignKey(project: string, key: string, options: CommonOptions): Promise<void> {
  const connection = await connectWith(options);
  await domainsOf(connection, project);
  await connection.keys.assignKey({ project, key });
  printRecord({ project, key }, options.output);
}

/** A mistyped name would become a key that protects nothing. */
function keyNotFound(key: string, names: string): BiplaneError {
  return new BiplaneError("not_found", {
    what: `There is no key ${JSON.stringify(key)} to rotate.`,
    why: `There is ${names || "none yet: the first one is made with the first data"}.`,
    next: `\`biplane keys assign PROJECT ${key}\` makes it and puts a project's new data under it.`,
  });
}

function unconfirmed({ key, version }: { readonly key: string; readonly version: string }): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `Version ${version} of ${key} was not destroyed.`,
    why: "Nothing brings back what is encrypted under a destroyed version.",
    next: "Look at `biplane keys list` for what is under it, then give --yes.",
  });
}

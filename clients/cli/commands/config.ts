/** `biplane config`: profiles on this machine, and what each takes for granted. */
import { BiplaneError, defaultDomains } from "@biplane/base";
import { type Config, ConfigStore, readProfile } from "@biplane/sdk/remote";
import { Command } from "commander";
import { printRecord, printRecords } from "../output/print.ts";
import { type CommonOptions, withOutput } from "./common.ts";

type Settable = "project" | "domain";
const settable: readonly string[] = ["project", "domain"];

export function configCommand(): Command {
  const command = new Command("config").description("profiles on this machine");
  command.addCommand(withOutput(new Command("list").description("all profiles")).action(list));
  command.addCommand(
    withOutput(new Command("show").description("the profile in use").argument("[name]")).action(show),
  );
  command.addCommand(
    new Command("use").description("choose the profile in use").argument("<name>").action(use),
  );
  command.addCommand(
    new Command("add")
      .description("remember a profile.json under a name")
      .argument("<name>")
      .argument("<path>")
      .action((name: string, path: string) => addProfile(name, path)),
  );
  command.addCommand(
    new Command("remove")
      .description("forget a profile and its credentials")
      .argument("<name>")
      .action(remove),
  );
  command.addCommand(
    new Command("set")
      .description("project or domain that commands take where none is given")
      .argument("<setting>", settable.join(" or "))
      .argument("<value>")
      .option("--profile <name>")
      .action(set),
  );
  return command;
}

async function list(options: CommonOptions): Promise<void> {
  const config = await new ConfigStore().read();
  const records = Object.entries(config.profiles).map(([name, entry]) => ({
    name,
    current: name === config.current ? "*" : "",
    org: entry.profile.org,
    router: entry.profile.router,
    project: entry.project ?? "",
  }));
  printRecords(
    records,
    [
      { title: "", value: (one) => one.current },
      { title: "PROFILE", value: (one) => one.name },
      { title: "ORGANIZATION", value: (one) => one.org },
      { title: "ROUTER", value: (one) => one.router },
      { title: "PROJECT", value: (one) => one.project },
    ],
    options.output,
    "No profiles yet. `biplane login --profile PATH/profile.json` adds one.",
  );
}

async function show(wanted: string | undefined, options: CommonOptions): Promise<void> {
  const { name, entry } = await new ConfigStore().entry(wanted);
  const { rootPem: _long, ...profile } = entry.profile;
  printRecord({ name, ...profile, project: entry.project, domain: entry.domain }, options.output);
}

async function use(name: string): Promise<void> {
  const store = new ConfigStore();
  await store.entry(name);
  await store.update((config) => ({ ...config, current: name }));
}

export async function addProfile(name: string, path: string, project?: string): Promise<void> {
  const profile = await readProfile(path);
  await new ConfigStore().update((config) => ({
    ...config,
    current: config.current ?? name,
    profiles: {
      ...config.profiles,
      [name]: { ...config.profiles[name], profile, ...(project === undefined ? {} : { project }) },
    },
  }));
}

async function remove(name: string): Promise<void> {
  const store = new ConfigStore();
  await store.entry(name);
  await store.saveCredentials(name, undefined);
  await store.update((config) => without(config, name));
}

function without(config: Config, name: string): Config {
  const { [name]: _removed, ...profiles } = config.profiles;
  const { current, ...others } = config;
  return { ...others, profiles, ...(current === name || current === undefined ? {} : { current }) };
}

async function set(setting: string, value: string, options: { profile?: string }): Promise<void> {
  if (!settable.includes(setting)) {
    throw new BiplaneError("invalid_argument", {
      what: `There is no setting ${JSON.stringify(setting)}.`,
      next: `Set ${settable.join(" or ")}.`,
    });
  }
  if (setting === "domain") requireDomain(value);
  const store = new ConfigStore();
  const { name, entry } = await store.entry(options.profile);
  const changed = { ...entry, [setting as Settable]: value };
  await store.update((config) => ({ ...config, profiles: { ...config.profiles, [name]: changed } }));
}

function requireDomain(name: string): void {
  const domains: readonly string[] = defaultDomains;
  if (domains.includes(name)) return;
  throw new BiplaneError("invalid_argument", {
    what: `There is no domain ${JSON.stringify(name)}.`,
    next: `Set ${domains.join(", ")}.`,
  });
}

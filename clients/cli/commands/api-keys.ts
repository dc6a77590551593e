/** Credentials of programs: `create|get|delete apikey`. */
import { BiplaneError } from "@biplane/base";
import type { identity } from "@biplane/data-wire";
import type { Connection } from "@biplane/sdk/remote";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { parseDuration } from "../inputs.ts";
import { printRecord, printRecords } from "../output/print.ts";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

interface NewKeyOptions extends CommonOptions {
  readonly owner?: string;
  readonly role?: string;
  readonly expires: string;
}

export function createApiKeyCommand(): Command {
  return withCommonOptions(
    new Command("apikey")
      .description("credentials for a program; the secret is shown this once")
      .argument("<name>")
      .option("--owner <user>", "who answers for it (you)")
      .option("--role <role>", "its role; with --project and --domain it holds there only")
      .option("--expires <duration>", "how long it works, at most 366d", "90d"),
  ).action(createApiKey);
}

async function createApiKey(name: string, options: NewKeyOptions): Promise<void> {
  const lifetime = parseDuration(options.expires);
  if (lifetime === undefined) {
    throw new BiplaneError("invalid_argument", "--expires has to be a duration like 90d or 12h.");
  }
  const { apiKeys } = await connectWith(options);
  const { key, secret } = await apiKeys.createApiKey({
    name,
    owner: options.owner ?? "",
    role: options.role ?? "",
    project: options.project ?? "",
    domain: options.domain ?? "",
    expiresAt: timestampFromMs(Date.now() + lifetime.milliseconds),
  });
  printRecord({ ...(key === undefined ? {} : keyRecord(key)), secret }, options.output);
}

export function getApiKeyCommand(): Command {
  return withCommonOptions(
    new Command("apikey").description("programs' credentials; or one of them").argument("[id]"),
  ).action(async (id: string | undefined, options: CommonOptions) => {
    const { apiKeys } = await connectWith(options);
    if (id !== undefined) {
      const { key } = await apiKeys.getApiKey({ id });
      printRecord(key === undefined ? {} : keyRecord(key), options.output);
      return;
    }
    printRecords(
      (await allKeys(apiKeys)).map(keyRecord),
      [
        { title: "KEY", value: (one) => one.key },
        { title: "NAME", value: (one) => one.name },
        { title: "OWNER", value: (one) => one.owner },
        { title: "EXPIRES", value: (one) => one.expires },
        { title: "LAST USED", value: (one) => one.lastUsed },
      ],
      options.output,
      "No keys yet. `biplane create apikey NAME` makes one.",
    );
  });
}

export function deleteApiKeyCommand(name = "apikey"): Command {
  return withCommonOptions(
    new Command(name)
      .description("delete a program's credentials; its tokens stop working at once")
      .argument("<id>"),
  ).action(async (id: string, options: CommonOptions) => {
    await (await connectWith(options)).apiKeys.deleteApiKey({ id });
    printRecord({ key: id, state: "deleted" }, options.output);
  });
}

async function allKeys(apiKeys: Connection["apiKeys"]): Promise<identity.ApiKey[]> {
  const all: identity.ApiKey[] = [];
  let token = "";
  do {
    const page = await apiKeys.listApiKeys({ token });
    all.push(...page.keys);
    ({ token } = page);
  } while (token !== "");
  return all;
}

function keyRecord(key: identity.ApiKey) {
  return {
    key: key.id,
    name: key.name,
    owner: key.owner,
    created: time(key.createdAt),
    expires: time(key.expiresAt),
    lastUsed: time(key.lastUsedAt),
  };
}

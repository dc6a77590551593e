/** `biplane keys list-signing|rotate-signing`: what signs the organization's tokens. */
import type { identity } from "@biplane/data-wire";
import { Command } from "commander";
import { printRecords } from "../output/print.ts";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

export function signingKeyCommands(): readonly Command[] {
  const list = withCommonOptions(
    new Command("list-signing").description("keys that sign or still verify the organization's tokens"),
  ).action(async (options: CommonOptions) => {
    print((await (await connectWith(options)).authority.listSigningKeys({})).keys, options);
  });
  const rotate = withCommonOptions(
    new Command("rotate-signing").description("sign with new keys; old ones verify until their tokens end"),
  ).action(async (options: CommonOptions) => {
    print((await (await connectWith(options)).authority.rotateSigningKeys({})).keys, options);
  });
  return [list, rotate];
}

function print(keys: readonly identity.SigningKey[], options: CommonOptions): void {
  printRecords(
    keys.map((key) => ({
      use: key.use,
      key: key.kid,
      signs: key.signs ? "yes" : "no",
      created: time(key.createdAt),
      verifiesUntil: time(key.verifiesUntil),
    })),
    [
      { title: "USE", value: (one) => one.use },
      { title: "KEY", value: (one) => one.key },
      { title: "SIGNS", value: (one) => one.signs },
      { title: "CREATED", value: (one) => one.created },
      { title: "VERIFIES UNTIL", value: (one) => one.verifiesUntil },
    ],
    options.output,
  );
}

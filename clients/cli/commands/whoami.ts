/** `biplane whoami`: as whom the router knows the caller. */
import { Command } from "commander";
import { printRecord } from "../output/print.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

export function whoamiCommand(): Command {
  return withCommonOptions(new Command("whoami").description("show who is signed in, and where")).action(
    async (options: CommonOptions) => {
      const connection = await connectWith(options);
      const { subject, name, email, preferredUsername } = await connection.identity.userInfo({});
      const { org, cluster, router } = connection.profile;
      const { project, domain } = connection;
      const label = name || preferredUsername;
      printRecord({ subject, name: label, email, org, cluster, router, project, domain }, options.output);
    },
  );
}

/** Clusters of the organization, for administrators: codes for further ones, and taking them off the list. */
import { BiplaneError } from "@biplane/base";

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { parseDuration } from "../inputs.ts";
import { printRecord } from "../output/print.ts";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

interface NewClusterOptions extends CommonOptions {
  readonly router: string;
  readonly objects: string;
  readonly expires: string;
}

export function createClusterCommand(): Command {
  return withCommonOptions(
    new Command("cluster")
      .description("make a code by which a further cluster joins, once: `biplane data join CODE`")
      .argument("<name>", "lower-case letters, digits and hyphens")
      .requiredOption("--router <address>", "where its router will be, https://HOST:PORT")
      .requiredOption("--objects <address>", "where its object store will be, https://HOST:PORT")
      .option("--expires <duration>", "how long the code works, at most 7d", "1h"),
  ).action(createCluster);
}

async function createCluster(cluster: string, options: NewClusterOptions): Promise<void> {
  const lifetime = parseDuration(options.expires);
  if (lifetime === undefined) {
    throw new BiplaneError("invalid_argument", "--expires has to be a duration like 1h or 2d.");
  }
  const { membership } = await connectWith(options);
  const { code, rootFingerprint, expiresAt } = await membership.createJoinCode({
    cluster,
    router: options.router,
    objects: options.objects,
    expiresAt: timestampFromMs(Date.now() + lifetime.milliseconds),
  });
  printRecord({ cluster, root: rootFingerprint, expires: time(expiresAt), code }, options.output);
}

export function deleteClusterCommand(): Command {
  return withCommonOptions(
    new Command("cluster")
      .description("take a cluster off the organization's list; nobody believes its router any longer")
      .argument("<name>"),
  ).action(async (cluster: string, options: CommonOptions) => {
    await (await connectWith(options)).membership.removeCluster({ cluster });
    printRecord({ cluster, state: "removed" }, options.output);
  });
}

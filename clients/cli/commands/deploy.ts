/** `biplane deploy`: makes a module's tasks known by name and version, to be run later by anyone who may. */

import { flyte } from "@biplane/data-wire";
import { exportsNoTask, inspectModule, placeRun, uploadModule } from "@biplane/sdk/remote";
import { createClient } from "@connectrpc/connect";
import { Command } from "commander";
import { printRecords } from "../output/print.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

interface DeployOptions extends CommonOptions {
  readonly taskVersion?: string;
  readonly external?: readonly string[];
}

export function deployCommand(): Command {
  const collect = (text: string, before?: readonly string[]) => [...(before ?? []), text];
  return withCommonOptions(
    new Command("deploy")
      .description("deploy all tasks that a module exports")
      .argument("<module>", "path of the module")
      .option("--task-version <version>", "version; a hash of the code by default")
      .option("--external <package>", "leave a package to the cluster's installation", collect),
  ).action(deploy);
}

async function deploy(path: string, options: DeployOptions): Promise<void> {
  const { bundle, tasks: found } = await inspectModule(path, options.external ?? []);
  if (found.length === 0) throw exportsNoTask(path);
  const connection = await connectWith(options);
  const place = await placeRun(connection);
  const client = createClient(flyte.task.TaskService, place.router);
  const deployed = [];
  for (const task of await uploadModule(connection, place, bundle)) {
    const version = options.taskVersion ?? bundle.version;
    const { org, project, domain } = place;
    if (task.spec.taskTemplate?.id !== undefined) task.spec.taskTemplate.id.version = version;
    await client.deployTask({ taskId: { org, project, domain, name: task.name, version }, spec: task.spec });
    deployed.push({ task: task.name, version });
  }
  printRecords(
    deployed,
    [
      { title: "TASK", value: (one) => one.task },
      { title: "VERSION", value: (one) => one.version },
    ],
    options.output,
  );
}

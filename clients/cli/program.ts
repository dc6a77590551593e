/** All commands in one tree. */
import { Command } from "commander";
import { abortCommand } from "./commands/abort.ts";
import { auditCommand } from "./commands/audit.ts";
import { borderCommand } from "./commands/border.ts";
import { canICommand } from "./commands/can-i.ts";
import { classesCommand } from "./commands/classes.ts";
import { explainErrors } from "./commands/common.ts";
import { completionCommands } from "./commands/completion.ts";
import { configCommand } from "./commands/config.ts";
import { createCommand } from "./commands/create.ts";
import { deployCommand } from "./commands/deploy.ts";
import { devCommand } from "./commands/dev.ts";
import { getCommand } from "./commands/get.ts";
import { ioCommand } from "./commands/io.ts";
import { keysCommand } from "./commands/keys.ts";
import { loginCommand } from "./commands/login.ts";
import { logsCommand } from "./commands/logs.ts";
import { openCommand } from "./commands/open.ts";
import { planeCommands } from "./commands/planes.ts";
import { egressCommand } from "./commands/residency.ts";
import { deleteCommand, logoutCommand, revokeCommand, updateCommand } from "./commands/revoke.ts";
import { runCommand } from "./commands/run.ts";
import { whoamiCommand } from "./commands/whoami.ts";
import { exitCodesHelp } from "./exit-codes.ts";

export const version = "0.1.0";

export function createProgram(): Command {
  const program = new Command("biplane")
    .description("Workflows in two planes: the provider schedules, the customer keeps the data.")
    .version(version)
    .enablePositionalOptions()
    .addHelpText("after", `\n${exitCodesHelp}`);
  const commands = [
    ...[loginCommand(), whoamiCommand(), runCommand(), deployCommand(), getCommand(), ioCommand()],
    ...[logsCommand(), abortCommand(), openCommand(), auditCommand(), borderCommand(), createCommand()],
    ...[updateCommand(), deleteCommand(), revokeCommand(), logoutCommand(), canICommand()],
    egressCommand(),
    ...[configCommand(), classesCommand(), keysCommand(), devCommand(), ...planeCommands()],
  ];
  for (const command of commands) program.addCommand(command);
  const [completion, candidates] = completionCommands(program);
  if (completion !== undefined) program.addCommand(completion);
  if (candidates !== undefined) program.addCommand(candidates, { hidden: true });
  handleErrors(program);
  return program;
}

/**
 * For each command by itself: Commander hands settings only to commands that it makes, and copying them by hand would
 * give `biplane data` a help of its own in place of the program's.
 */
function handleErrors(command: Command): void {
  explainErrors(command);
  for (const child of command.commands) handleErrors(child);
}

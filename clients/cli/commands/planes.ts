/** `biplane control`, `edge`, `data`, `verify`: the programs beside this one, with the words given to them. */
import { spawn } from "node:child_process";
import { Command } from "commander";
import { type Program, programFile } from "../dev/installation.ts";

const descriptions: Readonly<Record<Program, string>> = {
  control: "run the control plane (provider's side), or do one of its errands",
  edge: "run the edge (provider's blind end of the tunnel)",
  data: "run the data plane (customer's side), or set it up: init, join, start",
  verify: "prove each data-protection claim on the running installation, and leave evidence",
};

export function planeCommands(): readonly Command[] {
  const planes = (["control", "edge", "data", "verify"] as const).map((program) =>
    passThrough(program, descriptions[program], program, []),
  );
  const root = "back up the organization's root, or restore the home cluster from a backup";
  return [...planes, passThrough("root", root, "data", ["root"])];
}

function passThrough(name: string, description: string, program: Program, first: readonly string[]): Command {
  return new Command(name)
    .description(description)
    .argument("[words...]", `\`biplane ${program} --help\` lists them`)
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action((words: readonly string[]) => runProgram(program, [...first, ...words]));
}

/** Ends as the program ends; signals of the terminal reach it directly. */
async function runProgram(program: Program, words: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [programFile(program), ...words], { stdio: "inherit" });
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.exitCode = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(1));
    child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
}

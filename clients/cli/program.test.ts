/** The tree of commands: complete, documented, and offered to shells. */
import type { Command } from "commander";
import { expect, test } from "vitest";
import { candidatesAfter } from "./commands/completion.ts";
import { createProgram } from "./program.ts";

function all(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(all)];
}

test("every command that people see says what it does", () => {
  const silent = all(createProgram()).filter(
    (one) => one.description() === "" && !one.name().startsWith("__"),
  );
  expect(silent.map((one) => one.name())).toEqual([]);
});

test("every command that prints records can print them as JSON and YAML", () => {
  const program = createProgram();
  const printing = ["whoami", "run", "deploy", "io", "logs", "border", "classes", "can-i"];
  const listing = program.commands.find((one) => one.name() === "get")?.commands ?? [];
  for (const command of [...listing, ...program.commands.filter((one) => printing.includes(one.name()))]) {
    const output = command.options.find((option) => option.long === "--output");
    expect(output?.argChoices, command.name()).toEqual(["table", "json", "yaml"]);
  }
});

test("no option means two things in one command", () => {
  for (const command of all(createProgram())) {
    const flags = command.options.flatMap((option) => [option.short, option.long]).filter((flag) => flag);
    expect(new Set(flags).size, command.name()).toBe(flags.length);
  }
});

test("shells are offered sub-commands, options, and an option's choices", () => {
  const program = createProgram();
  expect(candidatesAfter(program, ["get"])).toEqual(expect.arrayContaining(["run", "action", "cluster"]));
  expect(candidatesAfter(program, ["get", "run"])).toContain("--from");
  expect(candidatesAfter(program, ["get", "runs"])).toContain("--from");
  expect(candidatesAfter(program, ["get", "run", "--from"])).toEqual(["data-plane", "control-plane"]);
  expect(candidatesAfter(program, [])).not.toContain("__complete");
});

test("a plane's --help is its program's own", () => {
  for (const name of ["control", "edge", "data", "verify", "root"]) {
    const command = createProgram().commands.find((one) => one.name() === name);
    expect(command?.helpInformation(), name).not.toContain("-h, --help");
  }
});

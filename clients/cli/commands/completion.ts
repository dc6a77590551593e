/** `biplane completion`: scripts that make a shell finish command words. They ask this program, so they never age. */
import { BiplaneError } from "@biplane/base";
import { Command } from "commander";

const scripts: Readonly<Record<string, string>> = {
  bash: `_biplane() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(biplane __complete "\${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _biplane biplane
`,
  zsh: `#compdef biplane
_biplane() {
  local -a candidates
  candidates=("\${(@f)$(biplane __complete "\${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
  compadd -- $candidates || _files
}
compdef _biplane biplane
`,
  fish: `complete -c biplane -f -a '(biplane __complete (commandline -opc)[2..] 2>/dev/null)'
`,
};

export function completionCommands(program: Command): readonly Command[] {
  const shells = Object.keys(scripts).join("|");
  const completion = new Command("completion")
    .description("print a completion script, for example: source <(biplane completion bash)")
    .argument(`<${shells}>`)
    .action((shell: string) => {
      const script = scripts[shell];
      if (script !== undefined) process.stdout.write(script);
      else
        throw new BiplaneError("invalid_argument", `There is no completion for ${shell}; choose ${shells}.`);
    });
  const candidates = new Command("__complete")
    .argument("[words...]")
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action((words: readonly string[]) => {
      process.stdout.write(`${candidatesAfter(program, words).join("\n")}\n`);
    });
  return [completion, candidates];
}

/** Sub-commands and options that may come after these words. */
export function candidatesAfter(program: Command, words: readonly string[]): readonly string[] {
  let command = program;
  for (const word of words) {
    const next = command.commands.find(
      (candidate) => candidate.name() === word || candidate.aliases().includes(word),
    );
    if (next !== undefined) command = next;
  }
  const last = words.at(-1);
  const choices = command.options.find((option) => option.long === last || option.short === last)?.argChoices;
  if (choices !== undefined) return choices;
  const commands = command.commands.map((one) => one.name()).filter((name) => !name.startsWith("_"));
  return [...commands, ...command.options.map((option) => option.long ?? option.flags)];
}

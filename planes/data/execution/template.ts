/** Expands `{{.name}}` in a task's arguments as Flyte's propeller does (names in any case, inner spaces allowed). */
export interface TemplateValues {
  /** URI of the `inputs.pb`. */
  readonly input: string;
  readonly outputPrefix: string;
  readonly rawOutputDataPrefix: string;
  readonly checkpointOutputPrefix: string;
  /** Of the attempt before; empty on the first one. */
  readonly prevCheckpointPrefix: string;
  readonly runName: string;
  readonly actionName: string;
  /** RFC 3339, the same on every attempt: child names depend on it. */
  readonly runStartTime: string;
}

export function expandArguments(argv: readonly string[], values: TemplateValues): string[] {
  const byName: Record<string, string> = { inputPrefix: values.input.replace(/\/[^/]*$/, "") };
  for (const [name, value] of Object.entries({ ...byName, ...values })) byName[name.toLowerCase()] = value;
  return argv.map((argument) =>
    argument.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (whole, name: string) => byName[name.toLowerCase()] ?? whole),
  );
}

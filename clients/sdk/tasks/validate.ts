import type { StandardSchemaV1 } from "@standard-schema/spec";
import { ValidationError } from "./errors.ts";

/** The value as the schema gives it back (with defaults), or an error that names every place that is wrong. */
export async function validate(
  schema: StandardSchemaV1 | undefined,
  value: unknown,
  place: string,
): Promise<unknown> {
  if (schema === undefined) {
    if (value === undefined) return undefined;
    throw new ValidationError(`${place} has no schema, so there can be no value.`);
  }
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  throw new ValidationError(result.issues.map((issue) => describeIssue(issue, place)).join("\n"));
}

function describeIssue(issue: StandardSchemaV1.Issue, place: string): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return `${[place, ...path].join(".")}: ${issue.message}`;
}

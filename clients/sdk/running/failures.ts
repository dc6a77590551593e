/** What a task's code threw, as the record of its attempt. */
import { limits } from "@biplane/base";
import * as children from "@biplane/data-wire/gen/biplane/data/v1/children_pb.js";
import { create } from "@bufbuild/protobuf";
import { NonRecoverableError, TaskFailedError, ValidationError } from "../tasks/errors.ts";

/** The codes are ours alone: they may leave the data plane, a user's words may not. */
export function failureOf(error: unknown): children.ActionError {
  const { code, recoverable } = classify(error);
  return create(children.ActionErrorSchema, { code, message: messageOf(error), recoverable, kind: 1 });
}

function classify(error: unknown): { code: string; recoverable: boolean } {
  if (error instanceof NonRecoverableError) return { code: "NonRecoverableError", recoverable: false };
  if (error instanceof ValidationError) return { code: "ValidationError", recoverable: false };
  // Another attempt would find the same sub-action, which has had all of its own attempts.
  if (error instanceof TaskFailedError) return { code: "ChildFailed", recoverable: false };
  return { code: "UserError", recoverable: true };
}

/** Stack and causes: whoever repairs the task needs them; they stay in the data plane. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? describe(error, 0) : `Thrown: ${String(error)}`;
  const bytes = Buffer.from(text);
  if (bytes.byteLength <= limits.errorMessageBytesMax) return text;
  return `${bytes.subarray(0, limits.errorMessageBytesMax - 16).toString("utf8")}… (shortened)`;
}

function describe(error: Error, depth: number): string {
  const text = error.stack?.includes(error.message)
    ? ownFrames(error.stack)
    : `${error.name}: ${error.message}`;
  const told = error instanceof TaskFailedError ? withAction(text, error) : text;
  if (!(error.cause instanceof Error) || depth >= 8) return told;
  return `${told}\nCaused by: ${describe(error.cause, depth + 1)}`;
}

/** Of a thousand sub-actions, whoever reads this has to find the one. */
function withAction(text: string, { name, action }: TaskFailedError): string {
  return text.startsWith(`${name}: `)
    ? `${name}: in sub-action ${action}: ${text.slice(name.length + 2)}`
    : text;
}

const foreignFrame =
  /^\s+at .*(?:node:|\/(?:sdk\.mjs|worker\.mjs|worker-snapshot\.cjs):|\/clients\/sdk\/|\/worker\/)/;
/** Where this attempt's sandbox has the code bundle. */
const bundleFolder = /(?:file:\/\/)?\/[^\s()]*\/bundle-[0-9a-f]{16}\//;

/** The frames of the task's own code, by the names of its files: how this SDK called it helps nobody. */
function ownFrames(stack: string): string {
  return stack
    .split("\n")
    .map((line) => (/^\s+at /.test(line) ? line.replace(bundleFolder, "") : line))
    .filter((line) => !foreignFrame.test(line))
    .join("\n");
}

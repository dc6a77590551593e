/**
 * Names of sub-actions, from what they are: a parent that runs again gives its sub-actions the same names and so finds
 * the ones that have ended. The scheme is Flyte's; names are opaque to everyone else.
 */
import { createHash } from "node:crypto";
import * as flyteCore from "@biplane/data-wire/flyte/core";
import type * as flyteTask from "@biplane/data-wire/flyte/task";
import { toBinary } from "@bufbuild/protobuf";
import { fullName, type TaskDefinition } from "../tasks/definition.ts";
import { interfaceOf } from "../tasks/interface.ts";

const nameCharactersMax = 25;
const identities = new WeakMap<TaskDefinition, string>();

/** The task as such: its name and interface. */
export function taskIdentity(definition: TaskDefinition): string {
  let identity = identities.get(definition);
  if (identity === undefined) {
    const interfaceHash = sha256(toBinary(flyteCore.TypedInterfaceSchema, interfaceOf(definition)));
    // Flyte's scheme ends in a cache version, which these tasks don't have.
    identity = sha256(`${fullName(definition)}-${interfaceHash}-`);
    identities.set(definition, identity);
  }
  return identity;
}

/** Values with a hash of their own count by it, so that a file written again elsewhere is the same input. */
export function inputsHash(inputs: flyteTask.Inputs): string {
  const hash = createHash("sha256");
  for (const { name, value } of inputs.literals) {
    hash.update(`${name}:`);
    if (value === undefined) continue;
    hash.update(value.hash === "" ? toBinary(flyteCore.LiteralSchema, value) : value.hash);
    hash.update(";");
  }
  return hash.digest("base64");
}

export class ActionNames {
  readonly #parent: string;
  readonly #counts = new Map<string, number>();

  constructor(parent: string) {
    this.#parent = parent;
  }

  /** Equal calls are told apart by their order, from 1. */
  next(identity: string, inputs: string, group: string): string {
    const key = `${identity}-${inputs}-${group}`;
    const sequence = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, sequence);
    const parts = [this.#parent, inputs, identity, String(sequence), ...(group === "" ? [] : [group])];
    const digest = createHash("md5").update(parts.join("-")).digest("hex");
    return BigInt(`0x${digest}`).toString(36).slice(0, nameCharactersMax);
  }
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("base64");
}

import { BiplaneError } from "./errors.ts";
import { limits } from "./limits.ts";

/** Names are parsed once at the border and branded, so that a checked one can't be mixed up with any other string. */
declare const brand: unique symbol;
type Branded<B extends string> = string & { readonly [brand]: B };

export type OrgId = Branded<"OrgId">;
export type ProjectId = Branded<"ProjectId">;
export type DomainId = Branded<"DomainId">;
export type RunName = Branded<"RunName">;
export type ActionName = Branded<"ActionName">;
export type TaskName = Branded<"TaskName">;
export type TaskVersion = Branded<"TaskVersion">;
export type ClusterId = Branded<"ClusterId">;
/** SHA-256 in lower-case hex. */
export type Digest = Branded<"Digest">;

export interface ProjectDomain {
  readonly org: OrgId;
  readonly project: ProjectId;
  readonly domain: DomainId;
}
export interface RunId extends ProjectDomain {
  readonly run: RunName;
}
export interface ActionId extends RunId {
  readonly action: ActionName;
}
export interface AttemptId extends ActionId {
  /** From 1. */
  readonly attempt: number;
}
export interface TaskId extends ProjectDomain {
  readonly name: TaskName;
  readonly version: TaskVersion;
}

/** The root action of every run. */
export const rootAction = "a0" as ActionName;
export const defaultDomains = ["development", "staging", "production"] as unknown as readonly DomainId[];

const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const runLabel = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const printable = /^[A-Za-z0-9]([-A-Za-z0-9_.:@+/ ]*[-A-Za-z0-9_.+])?$/;
const actionLabel = /^[A-Za-z0-9][-A-Za-z0-9_.]*$/;

export const parseOrgId = parser<"OrgId">(
  "organization",
  dnsLabel,
  63,
  "lower-case letters, digits and inner hyphens",
);
export const parseProjectId = parser<"ProjectId">(
  "project",
  dnsLabel,
  63,
  "lower-case letters, digits and inner hyphens",
);
export const parseDomainId = parser<"DomainId">(
  "domain",
  dnsLabel,
  63,
  "lower-case letters, digits and inner hyphens",
);
export const parseClusterId = parser<"ClusterId">(
  "cluster",
  dnsLabel,
  63,
  "lower-case letters, digits and inner hyphens",
);
export const parseRunName = parser<"RunName">(
  "run name",
  runLabel,
  limits.runNameCharactersMax,
  "a lower-case letter, then letters, digits and inner hyphens",
);
export const parseActionName = parser<"ActionName">(
  "action name",
  actionLabel,
  limits.actionNameCharactersMax,
  "letters, digits, '-', '_' and '.'",
);
export const parseTaskName = parser<"TaskName">(
  "task name",
  printable,
  limits.nameCharactersMax,
  "letters, digits, '-', '_', '.', ':', '@', '+', '/' and inner spaces",
);
export const parseTaskVersion = parser<"TaskVersion">(
  "task version",
  printable,
  limits.nameCharactersMax,
  "letters, digits, '-', '_', '.', ':', '@', '+', '/' and inner spaces",
);
export const parseDigest = parser<"Digest">("digest", /^[0-9a-f]{64}$/, 64, "64 lower-case hex digits");

function parser<B extends string>(kind: string, pattern: RegExp, charactersMax: number, allowed: string) {
  return (value: string): Branded<B> => {
    if (value.length > 0 && value.length <= charactersMax && pattern.test(value) && !value.includes("..")) {
      return value as Branded<B>;
    }
    throw new BiplaneError("invalid_argument", {
      what: `${JSON.stringify(shorten(value))} is not a valid ${kind}.`,
      why: `It has ${value.length} characters; a ${kind} has 1 to ${charactersMax}: ${allowed}.`,
      next: "Choose another one.",
    });
  };
}

function shorten(value: string): string {
  return value.length <= 80 ? value : `${value.slice(0, 80)}…`;
}

const base32 = "abcdefghijklmnopqrstuvwxyz234567";

/** A run name with 80 random bits (rule of state 4); the caller brings the randomness. */
export function runNameFrom(randomBytes: Uint8Array): RunName {
  if (randomBytes.length < 10) throw new BiplaneError("internal", "A run name needs 10 random bytes.");
  let bits = 0n;
  for (const byte of randomBytes.subarray(0, 10)) bits = (bits << 8n) | BigInt(byte);
  let name = "";
  for (let digit = 0; digit < 16; digit += 1) {
    name = base32[Number(bits & 31n)]! + name;
    bits >>= 5n;
  }
  return `r${name}` as RunName;
}

/** Every method of a router: what the table and the model say that a subject may do, and what the router decides. */
import { rpcTable } from "@biplane/classification";
import type { ServedMethod } from "@biplane/classification/messages";
import { flyte } from "@biplane/data-wire";
import type { Resource } from "@biplane/identity";
import { create, type DescField, type DescMessage, type DescMethod } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { messagesOf } from "../requests/call-method.ts";
import { decisionBy, expectedOf, type MatrixSubject, matrixPlace } from "./matrix-subjects.ts";

const unaryMsMax = 10_000;
/** A watch that was let in may have nothing to say for ever; a refusal comes at once, as soon as the router comes to it. */
const silentMsMax = 400;

/** By the table's row and the model, which knows nothing of Cedar or of how roles are kept. */
export function routerExpectation(subject: MatrixSubject, method: ServedMethod): string {
  const { permission } = rpcTable[method.name]!;
  return permission === "anonymous"
    ? "allowed"
    : expectedOf(subject, permission, askedOf(subject.org, method));
}

/** What the request names, by the kind of its row. */
export function askedOf(org: string, method: ServedMethod): Resource {
  const { kind } = rpcTable[method.name]!.resource;
  if (kind === "organization") return { org };
  if (kind !== "project") return { org, ...matrixPlace };
  const said = JSON.stringify(fieldsFor(method, org));
  const project = said.includes(matrixPlace.project) ? { project: matrixPlace.project } : {};
  return { org, ...project, ...(said.includes(matrixPlace.domain) ? { domain: matrixPlace.domain } : {}) };
}

export function routerDecision(transport: Transport, method: ServedMethod, org: string): Promise<string> {
  return decisionOn(transport, method.desc, create(method.desc.input, fieldsFor(method, org) as never));
}

export function decisionOn(transport: Transport, desc: DescMethod, message: object): Promise<string> {
  const isUnary = desc.methodKind === "unary";
  const signal = isUnary ? AbortSignal.timeout(unaryMsMax) : silence(transport);
  return decisionBy(call(transport, desc, message, signal));
}

/**
 * Aborted a while after a call that was sent at the same time has been answered: a router that is only slow would be taken
 * for one that allows.
 */
function silence(transport: Transport): AbortSignal {
  const silent = new AbortController();
  const { getPublicClientConfig } = createClient(flyte.auth.AuthMetadataService, transport);
  const answered = getPublicClientConfig({}, { timeoutMs: unaryMsMax }).catch(() => {});
  void answered.then(() => setTimeout(() => silent.abort(), silentMsMax));
  return silent.signal;
}

async function call(transport: Transport, desc: DescMethod, message: object, signal: AbortSignal) {
  for await (const _ of messagesOf(transport, desc, message, signal)) break;
}

const names: Readonly<Record<string, string>> = {
  ...matrixPlace,
  name: "r1",
  id: matrixPlace.project,
  version: "v1",
  parent: "a0",
  parentActionName: "a0",
};

/** As little as names a resource of the organization: what the row's rule looks at, and its parts. */
export function fieldsFor({ name, desc }: ServedMethod, org: string): Record<string, unknown> {
  const { at } = rpcTable[name]!.resource;
  if (at.length === 0) return {};
  return at[0] === "" ? fill(desc.input, org) : { ...named(desc.input.field[at[0]!]!, org) };
}

function named(field: DescField, org: string): Record<string, unknown> {
  const value = field.fieldKind === "message" ? fill(field.message, org) : org;
  if (field.oneof === undefined) return { [field.localName]: value };
  return { [field.oneof.localName]: { case: field.localName, value } };
}

function fill(desc: DescMessage, org: string): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  const isProject = desc.typeName === "flyteidl2.common.ProjectIdentifier";
  for (const field of desc.fields) {
    if (field.oneof !== undefined) continue;
    if (field.localName === "org" || field.localName === "organization") filled[field.localName] = org;
    else if (field.fieldKind === "scalar" && field.localName in names)
      filled[field.localName] = names[isProject && field.localName === "name" ? "project" : field.localName];
    else if (field.fieldKind === "message" && ["run", "actionId"].includes(field.localName)) {
      filled[field.localName] = fill(field.message, org);
    }
  }
  return filled;
}

/** Requests that name as much as they can of one organization: for tests that call every method there is. */
import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";

export interface Names {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
  readonly run: string;
  readonly task: string;
  readonly version: string;
  readonly user: string;
  readonly key: string;
  readonly cluster: string;
}

/** What a field called `name` holds, by the type that it is in. */
const nameOf: Readonly<Record<string, keyof Names>> = {
  "flyteidl2.common.RunIdentifier": "run",
  "flyteidl2.common.ProjectIdentifier": "project",
  "flyteidl2.common.DomainIdentifier": "domain",
  "flyteidl2.common.OrgIdentifier": "org",
  "flyteidl2.common.ClusterIdentifier": "cluster",
  "flyteidl2.task.TaskIdentifier": "task",
  "flyteidl2.task.TaskName": "task",
  "flyteidl2.project.Project": "project",
  "biplane.control.v1.RunRef": "run",
  "biplane.control.v1.TaskRef": "task",
};
const byField: Readonly<Record<string, keyof Names>> = {
  org: "org",
  organization: "org",
  project: "project",
  domain: "domain",
  run: "run",
  version: "version",
  user: "user",
  owner: "user",
  subject: "user",
  session: "key",
  key: "key",
  cluster: "cluster",
};
const identifiers = /(Identifier|Ref|TaskName|KeyVersion|\.Project|\.Action)$/;

/** `choice`: field to take where a request can be about one of several things. */
export function fillRequest(desc: DescMessage, names: Names, choice?: string): Message {
  return create(desc, fieldsOf(desc, names, choice) as never);
}

/** Whether the request can say which organization it is about. */
export function namesOrganization(desc: DescMessage, names: Names, choice?: string): boolean {
  return JSON.stringify(fieldsOf(desc, names, choice)).includes(JSON.stringify(names.org));
}

function fieldsOf(desc: DescMessage, names: Names, choice?: string): Record<string, unknown> {
  const filled: Record<string, unknown> = {};
  for (const field of desc.fields) {
    if (field.oneof !== undefined && field.localName !== (choice ?? field.oneof.fields[0]!.localName))
      continue;
    const value = fieldValue(desc, field, names);
    if (value === undefined) continue;
    if (field.oneof === undefined) filled[field.localName] = value;
    else filled[field.oneof.localName] = { case: field.localName, value };
  }
  return filled;
}

function fieldValue(desc: DescMessage, field: DescField, names: Names): unknown {
  if (field.fieldKind === "message") {
    return identifiers.test(field.message.typeName) ? fieldsOf(field.message, names) : undefined;
  }
  if (field.fieldKind !== "scalar" || field.scalar !== 9) return undefined;
  if (field.localName === "name") return nameIn(desc, names);
  if (field.localName === "id") return desc.typeName.includes("ApiKey") ? names.key : names.project;
  if (["action", "parent", "parentActionName"].includes(field.localName)) return "a0";
  const known = byField[field.localName];
  return known === undefined ? undefined : names[known];
}

function nameIn(desc: DescMessage, names: Names): string {
  const known = nameOf[desc.typeName];
  return known === undefined ? "a0" : names[known];
}

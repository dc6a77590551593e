/** Finds out what a request is about, by the row's rule and the types that Flyte and Biplane name things with. */
import { BiplaneError } from "@biplane/base";
import type { ResourceRule } from "@biplane/classification";
import type { Resource } from "@biplane/identity";
import type { DescMessage, Message } from "@bufbuild/protobuf";

type Fields = Readonly<Record<string, unknown>>;
type Named = Omit<Resource, "org"> & { readonly org?: string | undefined };

/** No database keeps a NUL: names and tokens that have one are refused before anybody looks for them. */
export function requireNames(schema: DescMessage, message: Message): void {
  for (const { fieldKind, localName, name } of schema.fields) {
    const value = fieldKind === "scalar" ? fieldAt(schema, message, localName) : undefined;
    if (typeof value === "string" && value.includes("\0")) {
      throw new BiplaneError("invalid_argument", `${schema.typeName} has a NUL in its ${name}.`);
    }
  }
}

/** `ownOrg` stands in where the client names no organization. */
export function resourceOf(
  rule: ResourceRule,
  schema: DescMessage,
  message: Message,
  ownOrg: string,
): Resource {
  return required(rule, namedBy(rule, schema, message, ownOrg) ?? { org: ownOrg });
}

/** Undefined where the request names none of it. */
export function namedBy(
  rule: ResourceRule,
  schema: DescMessage,
  message: Message,
  ownOrg: string,
): Resource | undefined {
  for (const path of rule.at) {
    const found = path === "" ? message : fieldAt(schema, message, path);
    if (found !== undefined) return complete(nameOf(found), ownOrg);
  }
  return undefined;
}

function fieldAt(schema: DescMessage, message: Message, name: string): unknown {
  const field = schema.field[name];
  if (field === undefined) throw new Error(`${schema.typeName} has no field ${name}; mend its row.`);
  const fields = message as unknown as Fields;
  if (field.oneof === undefined) return fields[name];
  const oneof = fields[field.oneof.localName] as { case?: string; value?: unknown };
  return oneof.case === name ? oneof.value : undefined;
}

/** How each type names a resource. Types that are not here use the plain field names of `flat`. */
const readers: Readonly<Record<string, (fields: Fields) => Named>> = {
  "flyteidl2.common.RunIdentifier": (fields) => ({ ...flat(fields), run: text(fields["name"]) }),
  "flyteidl2.common.ActionIdentifier": (fields) => ({
    ...nameOf(fields["run"]),
    action: text(fields["name"]),
  }),
  "flyteidl2.common.ActionAttemptIdentifier": (fields) => nameOf(fields["actionId"]),
  "flyteidl2.common.ProjectIdentifier": (fields) => ({
    org: text(fields["organization"]),
    project: text(fields["name"]),
    domain: text(fields["domain"]),
  }),
  "flyteidl2.common.DomainIdentifier": (fields) => ({
    org: text(fields["organization"]),
    domain: text(fields["name"]),
  }),
  "flyteidl2.common.OrgIdentifier": (fields) => ({ org: text(fields["name"]) }),
  "flyteidl2.project.Project": (fields) => ({ org: text(fields["org"]), project: text(fields["id"]) }),
  "flyteidl2.project.GetProjectRequest": (fields) => ({
    org: text(fields["org"]),
    project: text(fields["id"]),
  }),
  "flyteidl2.actions.Action": (fields) => ({
    ...nameOf(fields["actionId"]),
    action: text(fields["parentActionName"]),
  }),
  "biplane.control.v1.RunRef": (fields) => ({ ...flat(fields), run: text(fields["name"]) }),
  "biplane.data.v1.EnqueueRequest": childOf,
  "biplane.data.v1.WatchRequest": childOf,
  "biplane.data.v1.RecordTracesRequest": childOf,
};

function childOf(fields: Fields): Named {
  return { ...nameOf(fields["run"]), action: text(fields["parent"]) };
}

function flat(fields: Fields): Named {
  return { org: text(fields["org"]), project: text(fields["project"]), domain: text(fields["domain"]) };
}

function nameOf(value: unknown): Named {
  if (typeof value === "string") return { org: text(value) };
  if (typeof value !== "object" || value === null) return {};
  const type = (value as Message).$typeName;
  return (readers[type] ?? flat)(value as Fields);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function complete(named: Named, ownOrg: string): Resource {
  return { ...named, org: named.org ?? ownOrg };
}

const needed = {
  organization: [],
  project: [],
  "project-domain": [],
  run: ["project", "domain", "run"],
  action: ["project", "domain", "run", "action"],
} as const satisfies Record<ResourceRule["kind"], readonly (keyof Resource)[]>;

/** A request for one run that does not say which must not be decided as one for all of them. */
function required(rule: ResourceRule, resource: Resource): Resource {
  for (const part of needed[rule.kind]) {
    if (resource[part] !== undefined) continue;
    throw new BiplaneError("invalid_argument", {
      what: `The request does not name its ${part}.`,
      next: "Give organization, project, domain and name.",
    });
  }
  return resource;
}

/**
 * Every method of a router and of the index, called with another organization's identifiers, and in its name: what came of
 * it that should not have.
 */
import { rpcTable } from "@biplane/classification";
import type { ServedMethod } from "@biplane/classification/messages";
import { IndexService } from "@biplane/control-wire";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type Transport } from "@connectrpc/connect";
import { callMethod, type Outcome, routerMethods } from "../requests/call-method.ts";
import { fillRequest, type Names, namesOrganization } from "../requests/fill-request.ts";
import type { Belongings } from "./belongings.ts";

/** Without a name of anybody's in the request, or making something new: they answer about the caller's own organization. */
const aboutOneself = new Set([
  "flyteidl2.auth.IdentityService/UserInfo",
  "biplane.data.v1.ControlPlaneRecordsService/ListProjects",
  "biplane.data.v1.ControlPlaneRecordsService/ListClusters",
  "biplane.data.v1.ControlPlaneRecordsService/ListRuns",
  "biplane.data.v1.ControlPlaneRecordsService/ListTasks",
  "biplane.data.v1.BorderService/ReadLedger",
  "biplane.data.v1.AuditService/GetLog",
  "biplane.data.v1.AuditService/ReadRecords",
  "biplane.data.v1.ObjectsService/ListObjects",
  // It names nobody: the organization is the caller's own.
  "biplane.data.v1.ResidencyService/RestrictOrganization",
  "biplane.data.v1.KeysService/ListKeys",
  // Names of keys are the organization's own to give.
  "biplane.data.v1.KeysService/RotateKey",
  "biplane.data.v1.KeysService/AssignKey",
  "biplane.data.v1.UserService/ListUsers",
  "biplane.data.v1.ApiKeyService/ListApiKeys",
  "biplane.data.v1.AuthorityService/ListSigningKeys",
  "biplane.data.v1.AuthorityService/RotateSigningKeys",
  "biplane.data.v1.MembershipService/GetClusterList",
  "biplane.data.v1.ResidencyService/GetRegions",
  "biplane.data.v1.ResidencyService/ListDestinations",
  // Names of roles as well; the first of these makes what the next ones find.
  "biplane.data.v1.PolicyService/CreateRole",
  "biplane.data.v1.PolicyService/GetRole",
  "biplane.data.v1.PolicyService/ListRoles",
  "biplane.data.v1.PolicyService/UpdateRole",
  "biplane.data.v1.PolicyService/DeleteRole",
  "biplane.data.v1.PolicyService/ListAssignments",
  "biplane.data.v1.PolicyService/GetPolicy",
]);

/** Of what came, for evidence. */
const shownMax = 200;

/** Anyone may call the others. */
export const signedInMethods = routerMethods.filter(({ name }) => rpcTable[name]!.permission !== "anonymous");

/** Named by the other organization's projects even where the request can't name the organization itself. */
const neverFound = new Set(["GetProject", "UpdateProject", "Place"]);

/** To the caller's own router. */
export async function tryRouter(
  transport: Transport,
  { names, content }: Belongings,
  methods: readonly ServedMethod[] = signedInMethods,
): Promise<string[]> {
  const found: string[] = [];
  for (const { name, desc } of methods) {
    const choice = rpcTable[name]!.resource.at[0];
    const outcome = await callMethod(transport, desc, fillRequest(desc.input, names, choice));
    const carries = namesOrganization(desc.input, names, choice);
    if (outcome.text.includes(content)) found.push(`${name} told what is the other's`);
    if (carries && outcome.code !== Code.NotFound) found.push(describe(name, outcome));
    if (!carries && outcome.code === "answered" && !aboutOneself.has(name)) found.push(`${name} answered`);
  }
  return found;
}

/** As somebody whose token another organization's authority signed; `names` are the router's own. */
export async function tryRouterAsStranger(transport: Transport, names: Names): Promise<string[]> {
  const found: string[] = [];
  for (const { name, desc } of signedInMethods) {
    const request = fillRequest(desc.input, names, rpcTable[name]!.resource.at[0]);
    const outcome = await callMethod(transport, desc, request);
    if (outcome.code !== Code.Unauthenticated) found.push(describe(name, outcome));
  }
  return found;
}

/** To the control plane, with the caller's own certificate and control token. */
export async function tryIndex(transport: Transport, { names, content }: Belongings): Promise<string[]> {
  const found: string[] = [];
  const others = IndexService.methods.filter(({ name }) => name !== "CreateProject");
  // Last: it makes a project of the caller's own under the same name.
  for (const desc of [...others, IndexService.method.createProject] as readonly DescMethod[]) {
    const outcome = await callMethod(transport, desc, fillRequest(desc.input, names));
    if (outcome.text.includes(content)) found.push(`${desc.name} told what is the other's`);
    const isOthers = namesOrganization(desc.input, names) || neverFound.has(desc.name);
    if (isOthers && outcome.code !== Code.NotFound) found.push(describe(desc.name, outcome));
  }
  return found;
}

export async function tryIndexAsStranger(transport: Transport, names: Names): Promise<string[]> {
  const found: string[] = [];
  for (const desc of IndexService.methods as readonly DescMethod[]) {
    const outcome = await callMethod(transport, desc, fillRequest(desc.input, names));
    if (outcome.code !== Code.Unauthenticated) found.push(describe(desc.name, outcome));
  }
  return found;
}

function describe(name: string, { code, text }: Outcome): string {
  return `${name}: ${code === "answered" ? code : Code[code]} ${text.slice(0, shownMax)}`;
}

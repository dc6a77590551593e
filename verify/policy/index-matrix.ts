/** Every method of the control plane's index: what its table and the model say of a subject, and what the plane decides. */
import { type IndexMethod, indexTable } from "@biplane/classification/control-table";
import { IndexService } from "@biplane/control-wire";
import type { Resource } from "@biplane/identity";
import { create, type DescMethodUnary } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { decisionBy, expectedOf, type MatrixSubject, matrixPlace } from "./matrix-subjects.ts";

export const indexMethods = Object.keys(IndexService.method) as IndexMethod[];

export function indexExpectation(subject: MatrixSubject, name: IndexMethod): string {
  const { permissions, resource } = indexTable[name];
  const { asked } = namedIn(subject.org)[resource]!;
  const answers = permissions.map((permission) => expectedOf(subject, permission, asked));
  return answers.includes("allowed") ? "allowed" : "denied";
}

export function indexDecision(transport: Transport, name: IndexMethod, org: string): Promise<string> {
  const method = IndexService.method[name] as unknown as DescMethodUnary;
  const { request } = namedIn(org)[indexTable[name].resource]!;
  const message = create(method.input, request as never);
  return decisionBy(transport.unary(method, undefined, undefined, undefined, message));
}

function namedIn(org: string): Readonly<Record<string, { request: object; asked: Resource }>> {
  const { project } = matrixPlace;
  const run = { org, ...matrixPlace, name: "r1" };
  return {
    organization: { request: {}, asked: { org } },
    project: { request: { id: project }, asked: { org, project } },
    "project-domain": { request: matrixPlace, asked: { org, ...matrixPlace } },
    run: { request: { run }, asked: { org, ...matrixPlace, run: "r1" } },
  };
}

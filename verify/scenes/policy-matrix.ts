/** Role by scope by method in both planes of verify's own two clusters: who asks, and what each plane decided (claim IAM-2). */
import type { Subject } from "../frame/subject.ts";
import { indexDecision, indexExpectation, indexMethods } from "../policy/index-matrix.ts";
import { type MatrixSubject, matrixRoles, matrixScopes, operator } from "../policy/matrix-subjects.ts";
import { routerDecision, routerExpectation } from "../policy/router-matrix.ts";
import { routerMethods } from "../requests/call-method.ts";
import { type IndexCaller, openIndexCaller } from "../requests/index-caller.ts";
import { makeProgram } from "../requests/programs.ts";
import { type RouterPlace, routerAs } from "../requests/router-as.ts";
import { type TwoClusters, twoClusters, twoClustersOrg } from "./two-clusters.ts";

export interface SignedInSubject extends MatrixSubject {
  readonly token: string;
  /** As people say it. */
  readonly words: string;
}

export interface MatrixCell {
  readonly plane: "router" | "control plane";
  readonly words: string;
  readonly expected: string;
  readonly decided: string;
}

const callsAtOnce = 8;

/** Four roles at five scopes. */
export async function matrixSubjects(subject: Subject): Promise<SignedInSubject[]> {
  const clusters = await subject.scene(twoClusters);
  await clusters.client.connection.policy.createRole(operator);
  const subjects: SignedInSubject[] = [];
  for (const role of matrixRoles) {
    for (const [name, scope] of Object.entries(matrixScopes)) {
      const { id, token } = await makeProgram(clusters.client.connection, role, scope);
      subjects.push({ id, token, org: twoClustersOrg, role, scope, words: `${role} in ${name}` });
    }
  }
  return subjects;
}

export async function decidedMatrix(
  { system }: TwoClusters,
  subjects: readonly SignedInSubject[],
): Promise<MatrixCell[]> {
  const caller = await openIndexCaller(system.folders.data);
  const cells: MatrixCell[] = [];
  for (const subject of subjects) {
    cells.push(...(await atRouter(system.profile, subject)), ...(await atControlPlane(caller, subject)));
  }
  return cells;
}

export function wrongCells(cells: readonly MatrixCell[]): string[] {
  return cells
    .filter(({ expected, decided }) => expected !== decided)
    .map(({ plane, words, expected, decided }) => `${plane}: ${words} was ${decided}, not ${expected}`);
}

async function atRouter(place: RouterPlace, subject: SignedInSubject): Promise<MatrixCell[]> {
  const transport = routerAs(place, subject.token);
  return inTurn(routerMethods, async (method) => ({
    plane: "router",
    words: `${subject.words} who calls ${method.name}`,
    expected: routerExpectation(subject, method),
    decided: await routerDecision(transport, method, subject.org),
  }));
}

async function atControlPlane(caller: IndexCaller, subject: SignedInSubject): Promise<MatrixCell[]> {
  const transport = caller.actingFor(subject.token);
  return inTurn(indexMethods, async (name) => ({
    plane: "control plane",
    words: `${subject.words} who calls ${name}`,
    expected: indexExpectation(subject, name),
    decided: await indexDecision(transport, name, subject.org),
  }));
}

/** A few at once, in the order of the items. */
async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += callsAtOnce) {
    results.push(...(await Promise.all(items.slice(at, at + callsAtOnce).map(work))));
  }
  return results;
}

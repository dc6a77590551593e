/** The outcome for people (tables) and for programs (JSON, whose form is promised). */
import { type Column, table } from "@biplane/cli/output/table";
import type { Claim, ClaimResult, ControlResult } from "../frame/claim.ts";

export interface Outcome {
  readonly claims: readonly ClaimResult[];
  readonly controls: readonly ControlResult[];
}

export function isGood({ claims, controls }: Outcome): boolean {
  return claims.every(({ status }) => status !== "fail") && controls.every(({ caught }) => caught);
}

/** Exactly these fields. */
export function toJson({ claims, controls }: Outcome): string {
  return JSON.stringify(
    {
      claims: claims.map(({ id, status, reason, evidence }) => ({ id, status, reason, evidence })),
      controls: controls.map(({ id, caught }) => ({ id, caught })),
    },
    undefined,
    2,
  );
}

export function toText(outcome: Outcome, register: readonly Claim[], widthMax: number | undefined): string {
  const textOf = (id: string) => register.find((claim) => claim.id === id)?.text ?? "";
  const claimColumns: Column<ClaimResult>[] = [
    { title: "CLAIM", value: ({ id }) => id },
    { title: "RESULT", value: ({ status }) => status },
    { title: "WHAT", value: ({ id, reason }) => (reason === "" ? textOf(id) : reason) },
  ];
  const controlColumns: Column<ControlResult>[] = [
    { title: "CONTROL OF", value: ({ id }) => id },
    { title: "RESULT", value: ({ caught }) => (caught ? "caught" : "NOT CAUGHT") },
    { title: "WHAT", value: ({ evidence, reason }) => (reason === "" ? evidence.at(-1) : reason) },
  ];
  const { claims, controls } = outcome;
  return [
    ...(claims.length === 0 ? [] : [table(claims, claimColumns, widthMax), "", summary(claims)]),
    ...(controls.length === 0
      ? []
      : [table(controls, controlColumns, widthMax), "", summaryOfControls(controls)]),
  ].join("\n");
}

function summary(claims: readonly ClaimResult[]): string {
  const count = (wanted: ClaimResult["status"]) => claims.filter(({ status }) => status === wanted).length;
  return `${count("pass")} hold, ${count("fail")} fail, ${count("not-applicable")} can't be judged from here.`;
}

function summaryOfControls(controls: readonly ControlResult[]): string {
  const caught = controls.filter((one) => one.caught).length;
  return `${caught} of ${controls.length} deliberate violations were caught.`;
}

/** What an administrator and a viewer are told by a router, and what they should be told (claim IAM-3). */
import { flyte } from "@biplane/data-wire";
import { ConnectError, createClient } from "@connectrpc/connect";
import { type RouterPlace, routerAs } from "../requests/router-as.ts";

export interface Asking extends RouterPlace {
  readonly org: string;
  readonly project: string;
  readonly domain: string;
  /** Access tokens of two programs that have these roles everywhere. */
  readonly admin: string;
  readonly viewer: string;
}

export type Told = Readonly<Record<string, string>>;
export type Expected = Readonly<Record<string, RegExp>>;

const letThrough = /no run|not_found|unknown/i;

export const whileInDate: Expected = {
  "an administrator who lists runs": /^ok$/,
  "an administrator who aborts a run": letThrough,
  "a viewer who lists runs": /^ok$/,
  "a viewer who aborts a run": /^not_permitted$/,
};
export const onceStale: Expected = Object.fromEntries(
  Object.keys(whileInDate).map((name) => [name, /^policy_stale$/]),
);

export async function answersOf(asking: Asking): Promise<Told> {
  return {
    "an administrator who lists runs": await outcome(asking, asking.admin, "list"),
    "an administrator who aborts a run": await outcome(asking, asking.admin, "abort"),
    "a viewer who lists runs": await outcome(asking, asking.viewer, "list"),
    "a viewer who aborts a run": await outcome(asking, asking.viewer, "abort"),
  };
}

/** Who was told something else. */
export function unfit(told: Told, expected: Expected): string[] {
  return Object.entries(expected).flatMap(([who, answer]) =>
    answer.test(told[who] ?? "") ? [] : [`${who} is told: ${told[who]}`],
  );
}

/** With whatever token. */
export function outcome(asking: Asking, token: string, what: "list" | "abort"): Promise<string> {
  const { org, project, domain } = asking;
  const runs = createClient(flyte.workflow.RunService, routerAs(asking, token));
  if (what === "abort")
    return reasonOf(runs.abortRun({ runId: { org, project, domain, name: "no-such-run" } }));
  const scopeBy = { case: "projectId", value: { organization: org, name: project, domain } } as const;
  return reasonOf(runs.listRuns({ scopeBy }));
}

/** `ok`, or the reason of the refusal. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    const { metadata, rawMessage } = ConnectError.from(error);
    return metadata.get("biplane-reason") ?? rawMessage;
  }
}

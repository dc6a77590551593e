/** Exported events against OCSF's published rules for API Activity, written down here by hand (claim AUD-4). */
import { expect, test } from "vitest";
import { type AuditCode, auditCodes } from "./codes.ts";
import { toOcsf } from "./ocsf.ts";
import type { AuditDecision, AuditRecord } from "./record.ts";

type Rule = (value: unknown) => boolean;
const text: Rule = (value) => typeof value === "string" && value !== "";
const whole: Rule = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const oneOf =
  (...values: readonly unknown[]): Rule =>
  (value) =>
    values.includes(value);
const object =
  (
    required: Record<string, Rule>,
    optional: Record<string, Rule> = {},
    atLeastOne: readonly string[] = [],
  ): Rule =>
  (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const members = value as Record<string, unknown>;
    return (
      Object.entries(required).every(([name, rule]) => rule(members[name])) &&
      Object.entries(members).every(([name, item]) => (required[name] ?? optional[name])?.(item) === true) &&
      (atLeastOne.length === 0 || atLeastOne.some((name) => name in members))
    );
  };
const list =
  (rule: Rule): Rule =>
  (value) =>
    Array.isArray(value) && value.every(rule);

/** https://schema.ocsf.io/1.3.0/classes/api_activity: what is required, and of the rest what is used. */
const apiActivity = object(
  {
    activity_id: oneOf(0, 1, 2, 3, 4, 99),
    category_uid: oneOf(6),
    class_uid: oneOf(6003),
    type_uid: oneOf(600300, 600301, 600302, 600303, 600304, 600399),
    time: whole,
    severity_id: oneOf(0, 1, 2, 3, 4, 5, 6, 99),
    metadata: object(
      {
        version: oneOf("1.3.0"),
        product: object(
          { vendor_name: text },
          { name: text, feature: object({}, { name: text }, ["name"]) },
          ["name"],
        ),
      },
      { log_name: text, event_code: text, uid: text, correlation_uid: text },
    ),
    actor: object({}, { user: object({}, { uid: text }, ["uid"]), invoked_by: text }, ["user", "invoked_by"]),
    api: object({ operation: text }, { service: object({}, { name: text }, ["name"]) }),
    src_endpoint: object({}, { ip: text, name: text }, ["ip", "name"]),
  },
  {
    category_name: text,
    class_name: text,
    activity_name: text,
    severity: text,
    status_id: oneOf(0, 1, 2, 99),
    status: text,
    status_detail: text,
    message: text,
    resources: list(object({}, { name: text, type: text }, ["name"])),
    unmapped: object({}, { decision: text, address_from: text, phase: text, count: whole }),
  },
);

const bare = {
  subject: "",
  method: "",
  org: "acme",
  requestId: "",
  address: "",
  addressFrom: "none",
} as const;
const decisions: AuditDecision[] = ["allowed", "denied", "hidden", "unauthenticated", "refused", "event"];

test("a record of every code and decision is a valid event", () => {
  for (const code of Object.keys(auditCodes) as AuditCode[]) {
    for (const decision of decisions) {
      const record: AuditRecord = { atMs: 1, plane: "data", code, decision, ...bare };
      const event = toOcsf(record, 7, "acme.data.biplane/home") as { activity_id: number; type_uid: number };
      expect(apiActivity(event), JSON.stringify(event)).toBe(true);
      expect(event.type_uid).toBe(600_300 + event.activity_id);
    }
  }
});

test("who, what, where from and how it ended are found in their places", () => {
  const record: AuditRecord = {
    ...{ atMs: 1_700_000_000_000, plane: "data", code: "RUN_CREATED", decision: "denied", subject: "ada" },
    ...{ method: "flyteidl2.workflow.RunService/CreateRun", org: "acme", project: "flights" },
    ...{
      domain: "development",
      requestId: "r-1",
      address: "192.0.2.1",
      addressFrom: "edge",
      reason: "no_role",
    },
  } as AuditRecord;
  const event = toOcsf(record, 7, "acme.data.biplane/home");
  expect(apiActivity(event)).toBe(true);
  expect(event).toMatchObject({
    activity_name: "Create",
    status: "Failure",
    status_detail: "no_role",
    actor: { user: { uid: "ada" } },
    api: {
      operation: "flyteidl2.workflow.RunService/CreateRun",
      service: { name: "flyteidl2.workflow.RunService" },
    },
    src_endpoint: { ip: "192.0.2.1" },
    metadata: { uid: "acme.data.biplane/home#7", correlation_uid: "r-1" },
  });
});

test("control: an event that lacks what is required, or has what is not known, is not valid", () => {
  const event = toOcsf({ atMs: 1, plane: "data", code: "RUN_READ", decision: "allowed", ...bare }, 0, "log");
  const { api, ...withoutApi } = event as { api: object };
  expect(api).toBeDefined();
  expect(apiActivity(withoutApi)).toBe(false);
  expect(apiActivity({ ...event, secret: "x" })).toBe(false);
  expect(apiActivity({ ...event, class_uid: 6002 })).toBe(false);
});

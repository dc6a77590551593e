import { rpcTable } from "@biplane/classification";
import { servedMethods } from "@biplane/classification/messages";
import { flyte } from "@biplane/data-wire";
import { permissions } from "@biplane/identity";
import { expect, test } from "vitest";
import { createServices } from "../api/index.ts";
import type { ApiParts } from "../api/parts.ts";
import { resourceOf } from "./resource.ts";
import { methodNames, requireRows, serve } from "./router.ts";

const services = createServices({} as ApiParts);

test("every served method has a row, and every row a served method that descriptors know", () => {
  expect(servedMethods().map(({ name }) => name)).toEqual(Object.keys(rpcTable));
  expect(methodNames(services).sort()).toEqual(Object.keys(rpcTable).sort());
});

test("a method without a row can't be served", () => {
  const undecided = serve(flyte.workflow.RunService, { getActionLogContext: () => ({}) });
  expect(() => requireRows([...services, undecided])).toThrow("GetActionLogContext has no row");
});

test.each(Object.entries(rpcTable))("%s names its resource by fields that exist", (name, row) => {
  const [typeName, methodName] = name.split("/");
  const { service } = services.find((one) => one.service.typeName === typeName)!;
  const { input } = service.methods.find((method) => method.name === methodName)!;
  for (const path of [...row.resource.at, ...(row.uses?.resource.at ?? [])])
    if (path !== "") expect(input.field[path], path).toBeDefined();
  expect(row.permission === "anonymous" || permissions.includes(row.permission)).toBe(true);
});

test("no two methods share an audit code: an alarm on one is not set off by the other (claim AUD-1)", () => {
  const codes = Object.values(rpcTable).map(({ audit }) => audit);
  expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
});

test("only the methods that tell where to sign in, and those that clusters join by, are anonymous", () => {
  const anonymous = Object.entries(rpcTable).filter(([, row]) => row.permission === "anonymous");
  expect(anonymous.map(([name]) => name)).toEqual([
    "flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata",
    "flyteidl2.auth.AuthMetadataService/GetPublicClientConfig",
    "biplane.data.v1.MembershipService/Join",
    "biplane.data.v1.MembershipService/UpdateMember",
  ]);
});

test("a request for one run that does not say which is refused, not decided as one for all", () => {
  const { input } = flyte.workflow.RunService.method.getRunDetails;
  const message = { $typeName: input.typeName } as never;
  expect(() => resourceOf({ kind: "run", at: ["runId"] }, input, message, "acme")).toThrow("project");
});

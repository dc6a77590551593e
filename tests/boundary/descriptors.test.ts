/** Which message types the provider's programs can decode at all (claims CLS-2, CLS-4). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { embeddedDescriptors } from "@biplane/verify/search/descriptors";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { bundleOptions } from "../../tools/build.ts";
import { root } from "./sources.ts";

/** The whole of what the control plane knows. A new line here widens what the provider can see: review it as such. */
const controlPlane = {
  files: [
    "biplane/classes/v1/classes.proto",
    "biplane/control/v1/audit.proto",
    "biplane/control/v1/enrollment.proto",
    "biplane/control/v1/index.proto",
    "biplane/control/v1/link.proto",
    "biplane/control/v1/types.proto",
  ],
  /** Of the Protobuf runtime and Connect: times, JSON, transport errors. No message above has a field of theirs but times. */
  libraries: [
    "google/protobuf/any.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "status.proto",
  ],
  services: [
    "biplane.control.v1.EnrollmentService",
    "biplane.control.v1.IndexService",
    "biplane.control.v1.LinkService",
  ],
};

const { files, libraries, services } = controlPlane;

test("the built control plane embeds the control wire's descriptors and no other", () => {
  const found = embeddedDescriptors(readFileSync(join(root, "dist/control.mjs"), "utf8"));
  expect(found).toEqual({ files: [...files, ...libraries].sort(), services });
});

test("the built edge embeds no descriptor at all", () => {
  expect(embeddedDescriptors(readFileSync(join(root, "dist/edge.mjs"), "utf8"))).toEqual({
    files: [],
    services: [],
  });
});

test("control: the same search finds the data wire in the built data plane", () => {
  const found = embeddedDescriptors(readFileSync(join(root, "dist/data.mjs"), "utf8"));
  expect(found.services).toContain("flyteidl2.workflow.RunService");
});

test("control: a control plane that links the data wire is caught", async () => {
  const entry = "tests/boundary/controls/leaking-control-plane.ts";
  const result = await build({ ...bundleOptions(entry, "unused.mjs"), write: false, absWorkingDir: root });
  const code = result.outputFiles.find(({ path }) => path.endsWith(".mjs"))!.text;
  const found = embeddedDescriptors(code);
  expect(found.services).toContain("biplane.data.v1.ChildrenService");
  expect(found.files).toContain("biplane/data/v1/children.proto");
});

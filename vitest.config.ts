/** The test projects: fast ones beside the source, slow ones that start real processes under tests/. */
import { defineConfig } from "vitest/config";

const inline = [/@biplane\//, /@flyteorg\/flyteidl2/];
/** Built programs and code bundles are loaded as Node loads them: hooks that they set must see their imports. */
const external = [/\/dist\/[^/]+\.mjs$/, /\/biplane-bundle-[^/]+\//];

export default defineConfig({
  test: {
    server: { deps: { inline, external } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    projects: [
      project("unit", [
        "{contracts,kit,planes,tunnel,worker,clients,examples,verify,tools,bench,tests/support}/**/*.test.ts",
      ]),
      project("boundary", ["tests/boundary/**/*.test.ts"]),
      project("policy", ["tests/policy/**/*.test.ts"]),
      project("contract", ["tests/contract/**/*.test.ts"]),
      project("conformance", ["tests/conformance/**/*.test.ts"]),
      project("e2e", ["tests/e2e/**/*.test.ts"]),
      project("faults", ["tests/faults/**/*.test.ts"]),
    ],
  },
});

function project(name: string, include: string[]) {
  const slow = name !== "unit";
  return {
    extends: true as const,
    test: { name, include, ...(slow ? { testTimeout: 300_000, fileParallelism: false } : {}) },
  };
}

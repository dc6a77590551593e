/**
 * The test projects: fast ones beside the source, slow ones that start real processes under tests/. Two files run at a
 * time; those of a project's `-alone` half run after all others, one by one.
 */
import { configDefaults, defineConfig } from "vitest/config";

const inline = [/@biplane\//, /@flyteorg\/flyteidl2/];
/** Built programs and code bundles are loaded as Node loads them: hooks that they set must see their imports. */
const external = [/\/dist\/[^/]+\.mjs$/, /\/biplane-bundle-[^/]+\//];

const units = "{contracts,kit,planes,tunnel,worker,clients,examples,verify,tools,bench,tests/support}";

/** What neighbours disturb, or what disturbs them: seconds, memory, a thousand connections, mounts. */
const alone = {
  contract: ["tests/contract/tunnel*.test.ts", "tests/contract/objects/disk-full.test.ts"],
  e2e: ["tests/e2e/{clusters,half-open,sizes,smuggling,verify}.test.ts"],
  faults: ["tests/faults/syncs.test.ts"],
};

/** What changes its whole process: mocked modules, a timer that ends it, a list of hosts, tasks that register. */
const apart = ["kit/{database,egress,lifecycle}.test.ts", "clients/sdk/**/*.test.ts"];

/** Each hook and test; a busy machine needs most of it to start planes. */
const slow = { testTimeout: 300_000, hookTimeout: 300_000 };
const exclude = [...configDefaults.exclude, ...Object.values(alone).flat()];

export default defineConfig({
  test: {
    server: { deps: { inline, external } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    projects: [
      // Files share a process: loading the same modules for each of them anew took a quarter of the time.
      project("unit", [`${units}/**/*.test.ts`], {
        isolate: false,
        exclude: [...configDefaults.exclude, ...apart],
      }),
      project("unit-apart", apart),
      ...["boundary", "policy", "contract", "conformance", "e2e", "faults"].map((name) =>
        project(name, [`tests/${name}/**/*.test.ts`], { ...slow, exclude }),
      ),
      ...Object.entries(alone).map(([name, files]) =>
        project(`${name}-alone`, files, { ...slow, fileParallelism: false }),
      ),
    ],
  },
});

function project(name: string, include: string[], settings: object = {}) {
  return { extends: true as const, test: { name, include, ...settings } };
}

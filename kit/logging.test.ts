import { BiplaneError, Secret } from "@biplane/base";
import { expect, test } from "vitest";
import { createLogger } from "./index.ts";

function capture(work: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  work(createLogger({ component: "test", level: "trace", destination }));
  return lines.join("");
}

test("neither data nor credentials reach a log line at any level (claim TLS-5)", () => {
  const output = capture((typed) => {
    // As JavaScript, or a spread of what came from elsewhere, would call it.
    const log = typed as unknown as Record<keyof typeof typed, (fields: object, text: string) => void>;
    const failure = new BiplaneError("internal", "canary-text", { cause: new Error("canary-cause") });
    for (const level of ["trace", "debug", "info", "warn", "error", "fatal"] as const) {
      log[level]({ error: failure, inputs: "canary-input", token: new Secret("canary-token") }, "happened");
      log[level]({ method: { nested: "canary-nested" }, headers: ["canary-header"] }, "happened");
    }
  });
  expect(output).not.toContain("canary");
  expect(output.split("\n").filter(Boolean)).toHaveLength(12);
});

test("allowed fields stay, and an error appears as its class, code and place", () => {
  const output = capture((log) =>
    log.error({ run: "r1", error: new BiplaneError("not_found", "x") }, "failed"),
  );
  const line = JSON.parse(output) as Record<string, unknown>;
  expect(line).toMatchObject({
    level: "error",
    run: "r1",
    errorClass: "BiplaneError",
    code: "not_found",
    msg: "failed",
  });
  expect(line["errorPlace"]).toMatch(/logging\.test/);
});

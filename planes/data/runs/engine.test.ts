import { Phase } from "@biplane/control-wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  attemptOf,
  child,
  type Fixture,
  leaseNow,
  openFixture,
  rootOf,
  startRun,
  success,
} from "./engine.testing.ts";

let fixture: Fixture;
beforeEach(async () => {
  fixture = await openFixture();
});
afterEach(() => fixture.close());

test("a run with two sub-actions goes through and ends with its root action", async () => {
  const root = await startRun(fixture);
  await fixture.runs.enqueueChildren(attemptOf(root), [child("c1"), child("c2")]);
  for (let count = 0; count < 2; count += 1) {
    await fixture.queue.finish(attemptOf(await leaseNow(fixture)), success);
  }
  await fixture.queue.finish(attemptOf(root), success);
  const run = await fixture.runs.getRun(root);
  expect(run.phase).toBe(Phase.SUCCEEDED);
  expect(
    (await fixture.runs.getAction(rootOf(root))).attempts[0]?.transitions.map(({ phase }) => phase),
  ).toEqual([Phase.QUEUED, Phase.RUNNING, Phase.SUCCEEDED]);
});

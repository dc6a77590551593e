import { expect, test } from "vitest";
import { z } from "zod";
import { registeredTasks } from "../tasks/registry.ts";
import { task } from "../tasks/task.ts";
import { warmUp } from "./warm-up.ts";

test("warming up runs a task with steps and sub-actions to its end, and leaves no task behind", async () => {
  task({ name: "own", output: z.string() }, async () => "");
  await warmUp();
  expect([...registeredTasks().keys()]).toEqual(["own"]);
});

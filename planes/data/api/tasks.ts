/** Deployed tasks, kept in this cluster; only their names and digests go up. */
import { BiplaneError, limits } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { toBinary } from "@bufbuild/protobuf";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { actingSubject } from "./acting.ts";
import { equal, listQueryOf } from "./messages/lists.ts";
import { taskDetails, taskMessage } from "./messages/task.ts";
import { timestamp } from "./messages/times.ts";
import { projectDomainOf, requireKnownDomain, taskIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";
import { bundlePins } from "./pins.ts";
import { scopeOf } from "./scopes.ts";

export function taskService(parts: ApiParts) {
  const { runs, subjects, clock } = parts;
  return serve(
    flyte.task.TaskService,
    {
      deployTask: async (request, context) => {
        const call = authorizedCall(context);
        const id = taskIdOf(call.org, request.taskId);
        requireKnownDomain(id);
        const { spec } = request;
        if (spec === undefined) throw new BiplaneError("invalid_argument", "The task has no specification.");
        if (request.triggers.length > 0) throw triggersMissing();
        await bundlePins(parts, id, spec);
        await runs.deployTask({
          ...id,
          spec: toBinary(flyte.task.TaskSpecSchema, spec),
          deployedBy: actingSubject(call.principal),
          deployedAtMs: clock.now(),
          shortName: spec.shortName || id.name.split(".").at(-1)!,
          environmentName: spec.environment?.name ?? "",
        });
        return {};
      },
      getTaskDetails: async (request, context) => {
        const task = await runs.getTask(taskIdOf(authorizedCall(context).org, request.taskId));
        return { details: taskDetails(task, await subjects.load([task.deployedBy])) };
      },
      listTasks: async (request, context) => {
        const scope = scopeOf(authorizedCall(context).resource);
        const listed = await runs.listTasks(scope, listQueryOf(request.request));
        const nameOf = await subjects.load(listed.items.map((task) => task.deployedBy));
        return {
          tasks: listed.items.map((task) => taskMessage(task, nameOf)),
          token: listed.nextCursor,
        };
      },
      listVersions: async (request, context) => {
        const { taskName } = request;
        if (taskName === undefined) throw new BiplaneError("invalid_argument", "The request names no task.");
        const scope = projectDomainOf(authorizedCall(context).org, taskName);
        const byName = { field: "name", operator: equal, values: [taskName.name] };
        const listed = await runs.listTasks(scope, listQueryOf(request.request, [byName]));
        const versions = listed.items.map((task) => ({
          version: task.version,
          deployedAt: timestamp(task.deployedAtMs),
        }));
        return { versions, token: listed.nextCursor };
      },
    },
    limits.requestBytesMax,
  );
}

function triggersMissing(): BiplaneError {
  return new BiplaneError(
    "unimplemented",
    {
      what: "The task was not deployed, because it has triggers.",
      why: "This version of Biplane has no triggers yet.",
      next: "Deploy it without triggers.",
    },
    { reason: "triggers_unsupported" },
  );
}

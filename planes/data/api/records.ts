/** What the control plane knows, asked in the caller's name and passed on as it is (claim CLS-6). */
import type { IndexService, RunRef } from "@biplane/control-wire";
import { border, progress, records } from "@biplane/data-wire";
import { fromConnectError } from "@biplane/kit/connect-errors";
import type { Client, HandlerContext } from "@connectrpc/connect";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { timestamp } from "./messages/times.ts";
import { runIdentifier, runIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";

type Index = Client<typeof IndexService>;

export function recordsService(parts: ApiParts) {
  const ask = async <T>(context: HandlerContext, question: (index: Index) => Promise<T>): Promise<T> => {
    const index = parts.controlPlane.index(authorizedCall(context).principal);
    try {
      return await question(index);
    } catch (error) {
      throw fromConnectError(error);
    }
  };
  const ownRun = (run: RunRef | undefined) => ({ run: runIdentifier(runIdOf(parts.org, run)) });
  return serve(records.ControlPlaneRecordsService, {
    listProjects: (request, context) => ask(context, (index) => index.listProjects(request)),
    listClusters: (request, context) => ask(context, (index) => index.listClusters(request)),
    getRun: (request, context) => ask(context, (index) => index.getRun(ownRun(request.run))),
    listRuns: (request, context) => ask(context, (index) => index.listRuns(request)),
    listActions: (request, context) =>
      ask(context, (index) => index.listActions({ ...ownRun(request.run), ...pageOf(request) })),
    listAttempts: (request, context) =>
      ask(context, (index) =>
        index.listAttempts({ ...ownRun(request.run), action: request.action, ...pageOf(request) }),
      ),
    listTasks: (request, context) => ask(context, (index) => index.listTasks(request)),
    place: (request, context) => ask(context, (index) => index.place(request)),
  });
}

function pageOf<P>(request: { readonly page?: P | undefined }): { page?: P } {
  return request.page === undefined ? {} : { page: request.page };
}

/** Everything that ever crossed the border, from this side's own record (claim BORDER-1). */
export function borderService(parts: ApiParts) {
  return serve(border.BorderService, {
    readLedger: (request, context) => {
      const { fromSequence, follow, run, last } = request;
      return parts.ledger.read({ fromSequence, follow, run, last }, context.signal);
    },
  });
}

export function progressService(parts: ApiParts) {
  const { runs, clock } = parts;
  return serve(progress.ProgressService, {
    async *watchProgress(request, context) {
      const id = runIdOf(parts.org, request.run);
      for await (const { phase, counts } of runs.watchProgress(id, context.signal)) {
        yield { phase, tasks: byTask(counts), asOf: timestamp(clock.now()) };
      }
    },
  });
}

function byTask(counts: readonly { taskName: string; phase: number; count: number }[]) {
  const tasks = new Map<string, { phase: number; count: bigint }[]>();
  for (const { taskName, phase, count } of counts) {
    const totals = tasks.get(taskName) ?? [];
    totals.push({ phase, count: BigInt(count) });
    tasks.set(taskName, totals);
  }
  return [...tasks].map(([taskName, totals]) => ({ taskName, totals }));
}

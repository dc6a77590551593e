/** What the control plane may ask besides starting runs: to end one. Recorded like any other request. */
import type { OrgId } from "@biplane/base";
import { isBiplaneError } from "@biplane/base";
import { type Command, CommandOutcome, type RunRef } from "@biplane/control-wire";
import { type AuditLog, eventOf } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";
import { runIdOf } from "./api/names.ts";
import type { Runs } from "./runs/types.ts";

type AbortRun = Extract<Command["command"], { case: "abortRun" }>["value"];

export function createCommandHandler(
  org: OrgId,
  runs: Pick<Runs, "abortRun">,
  audit: Pick<AuditLog, "record">,
  clock: Clock,
): (command: Command) => Promise<CommandOutcome> {
  return async ({ id, command }) => {
    if (command.case !== "abortRun" || command.value.run?.org !== org) {
      const method = "biplane.control.v1.LinkService/Connect";
      await audit.record(eventOf("COMMAND_REFUSED", { decision: "refused", method, requestId: id }));
      return CommandOutcome.REFUSED;
    }
    await recordAbort(id, command.value, command.value.run);
    try {
      const abort = { reason: "Asked for at the control plane.", by: command.value.requestedBy };
      await runs.abortRun(runIdOf(org, command.value.run), abort);
      return CommandOutcome.DONE;
    } catch (error) {
      if (isBiplaneError(error, "not_found")) return CommandOutcome.NOT_FOUND;
      if (isBiplaneError(error, "invalid_argument")) return CommandOutcome.REFUSED;
      throw error;
    }
  };

  function recordAbort(requestId: string, { requestedBy }: AbortRun, run: RunRef): Promise<void> {
    return audit.record({
      atMs: clock.now(),
      code: "RUN_ABORTED",
      decision: "allowed",
      subject: requestedBy,
      method: "biplane.control.v1.LinkService/Connect",
      org,
      project: run.project,
      domain: run.domain,
      run: run.name,
      requestId,
      address: "",
      addressFrom: "none",
      reason: "control_plane_command",
    });
  }
}

/** What a client is told when its run does not start. */
import { BiplaneError, type RunId, unreachable } from "@biplane/base";
import { AdmissionOutcome } from "@biplane/control-wire";

export function nameTaken(run: string): BiplaneError {
  return new BiplaneError("already_exists", {
    what: `A run named ${run} exists already.`,
    why: "Names of runs are unique in a project and domain.",
    next: "Choose another name, or leave it out to have one made.",
  });
}

export function notAdmittedYet(run: string): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: `The run ${run} was not admitted in time.`,
      why: "The control plane did not answer.",
      next: "Repeat the request: the run starts once, however often you ask.",
    },
    { reason: "admission_pending" },
  );
}

export function regionNotAllowed(project: string): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: `Runs of project ${project} may not be in this cluster's region.`,
      why: "The project, or the whole organization, is restricted to other regions.",
      next: "Submit it to a cluster there (`biplane get cluster`), or have the restriction lifted.",
    },
    { reason: "region_not_allowed" },
  );
}

export function admissionRefused(run: RunId, outcome: AdmissionOutcome): BiplaneError {
  switch (outcome) {
    case AdmissionOutcome.ALREADY_EXISTS:
      return nameTaken(run.run);
    case AdmissionOutcome.UNKNOWN_PROJECT:
      return new BiplaneError("not_found", {
        what: `There is no project ${run.project} with a domain ${run.domain}.`,
        next: `Create it: biplane create project ${run.project}`,
      });
    case AdmissionOutcome.PROJECT_ARCHIVED:
      return new BiplaneError("failed_precondition", {
        what: `The project ${run.project} is archived.`,
        next: "Activate it, or choose another one.",
      });
    case AdmissionOutcome.REGION_NOT_ALLOWED:
      return regionNotAllowed(run.project);
    case AdmissionOutcome.ADMITTED:
    case AdmissionOutcome.UNSPECIFIED:
      return new BiplaneError("unavailable", `The control plane gave no decision on the run ${run.run}.`);
    default:
      return unreachable(outcome);
  }
}

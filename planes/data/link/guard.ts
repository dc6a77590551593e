/**
 * The projection's guard: what leaves for the control plane, and what comes from there, is checked against the schema, the
 * classes of its fields and the rules of their values. A mistake elsewhere ends here, not at the provider (claim CLS-2).
 */
import { BiplaneError, type ErrorCode } from "@biplane/base";
import { findViolation } from "@biplane/control-wire";
import type { DescMessage, Message } from "@bufbuild/protobuf";

/** Throws before anything of a message that may not go has left; `code` says whose mistake it is. */
export function guardUp(schema: DescMessage, message: Message, code: ErrorCode = "internal"): void {
  const violation = findViolation(schema, message);
  if (violation === undefined) return;
  throw new BiplaneError(
    code,
    {
      what: `A message for the control plane was held back at ${violation.path}.`,
      why: `What is there is not ${violation.rule}.`,
    },
    { reason: "held_back" },
  );
}

/** Throws `invalid_argument`: a control plane that sends more than the protocol names is not obeyed. */
export function guardDown(schema: DescMessage, message: Message): void {
  const violation = findViolation(schema, message);
  if (violation === undefined) return;
  throw new BiplaneError(
    "invalid_argument",
    {
      what: `A message of the control plane was refused at ${violation.path}.`,
      why: `What is there is not ${violation.rule}.`,
    },
    { reason: "unfit_message" },
  );
}

/**
 * The projection's guard: what leaves for the control plane, and what comes from there, is checked against the schema,
 * the rules of its values, and the classes of its fields. A mistake elsewhere ends here, not at the provider.
 */
import { BiplaneError } from "@biplane/base";
import { Class, class$, findViolation } from "@biplane/control-wire";
import { type DescField, type DescMessage, getOption, hasOption, type Message } from "@bufbuild/protobuf";

/** What a control plane may know (claim CLS-2). */
const knowable: ReadonlySet<Class> = new Set([Class.PUBLIC, Class.PLATFORM, Class.ORCHESTRATION]);
const checkedSchemas = new WeakSet<DescMessage>();

/** Throws `internal` before anything of a message that may not go has left. */
export function guardUp(schema: DescMessage, message: Message): void {
  requireKnowable(schema);
  const violation = findViolation(schema, message);
  if (violation === undefined) return;
  throw new BiplaneError(
    "internal",
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

/** Holds for a schema or not, once and for all: every field of it and of what it contains has a knowable class. */
function requireKnowable(schema: DescMessage): void {
  if (checkedSchemas.has(schema)) return;
  checkedSchemas.add(schema);
  for (const field of schema.fields) {
    if (!knowable.has(classOf(field))) {
      checkedSchemas.delete(schema);
      throw new BiplaneError("internal", `${schema.typeName}.${field.name} may not go to a control plane.`, {
        reason: "held_back",
      });
    }
    if (field.message !== undefined && isOurs(field.message)) requireKnowable(field.message);
  }
}

function classOf(field: DescField): Class {
  return hasOption(field, class$) ? getOption(field, class$) : Class.UNSPECIFIED;
}

/** Well-known types, as time stamps, carry no classes: the field that holds one has it. */
function isOurs(message: DescMessage): boolean {
  return message.typeName.startsWith("biplane.");
}

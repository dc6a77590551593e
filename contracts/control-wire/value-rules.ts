/**
 * What the fields of the control wire may hold. A field has a class by what it is meant for; these rules keep a mistake
 * from putting something else there: an error's text in a code, a person's address in a subject (claims CLS-2, CLS-6).
 */
import { isKnowable } from "@biplane/base";
import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { declaredClass, isSet, isValueType } from "./field-class.ts";
import { findUnknownField, readField } from "./unknown-fields.ts";

export interface Violation {
  /** Where it is, e.g. `events.events[0].run_updated.failure_code`. */
  readonly path: string;
  readonly rule: string;
}

export interface ValueRule {
  readonly rule: string;
  holds(value: never): boolean;
}
type Rule = ValueRule;

/** One line of printable text, as names and addresses are. */
const line: Rule = text(/^[^\p{Cc}]{0,255}$/u, "at most 255 characters without control characters");
const code: Rule = text(/^([A-Za-z][A-Za-z0-9_.-]{0,63})?$/, "a code: letters, digits, '_', '.', '-'");
const subject: Rule = text(/^[^\s@\p{Cc}]{0,255}$/u, "a subject: no spaces, no mail address");
const digest: Rule = bytes((length) => length === 0 || length === 32, "32 bytes");
const nonce: Rule = bytes((length) => length === 16, "16 bytes");
const jws: Rule = text(
  /^(?=.{1,2097152}$)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/,
  "a compact JWS, at most 2 MiB",
);
const publicKeys: Rule = {
  rule: "a set of public keys (RFC 7517), at most 65,536 characters",
  holds: (value: string) => value === "" || (value.length <= 65_536 && isPublicKeySet(value)),
};

/** Rules that hold for columns as well. */
export const valueRules = { line, code, subject, digest, nonce, jws, publicKeys } as const;

const byName: Readonly<Record<string, Rule>> = {
  failure_code: code,
  created_by: subject,
  deployed_by: subject,
  document_digest: digest,
  spec_digest: digest,
  certificate_fingerprint: digest,
  intermediate_fingerprint: digest,
  root_fingerprint: digest,
  code_proof: digest,
  root_hash: digest,
  proof_hash: digest,
  log_key: digest,
  witness_key: digest,
  signature: bytes((length) => length <= 76, "at most 76 bytes"),
  alarm_code: code,
  nonce,
  session: bytes((length) => length === 0 || length === 16, "16 bytes"),
  cursor: text(/^[A-Za-z0-9_-]{0,2048}$/, "base64url, at most 2,048 characters"),
  statement: text(/^[A-Za-z0-9_.-]{0,8192}$/, "a compact JWS of at most 8,192 characters"),
  jws,
  control_token_keys: publicKeys,
};
const anyBytes: Rule = bytes((length) => length <= 16_384, "at most 16,384 bytes");
const knownNumber = (field: DescField): Rule => ({
  rule: "a number that the schema names",
  holds: (value) => field.enum?.value[value] !== undefined,
});

/**
 * The first thing in the message that does not belong there: an unknown field, a field of a class that a control plane may
 * not know, or a value against its rule. Both ends of the link ask this of whatever they send and get.
 */
export function findViolation(schema: DescMessage, message: Message): Violation | undefined {
  const unknown = findUnknownField(schema, message);
  if (unknown !== undefined) return { path: unknown, rule: "a field of the schema" };
  return checkOf(schema)(message);
}

type Check = (message: Message) => Violation | undefined;
const checks = new WeakMap<DescMessage, Check>();

function checkOf(schema: DescMessage): Check {
  let check = checks.get(schema);
  if (check === undefined) {
    const fields = schema.fields.map((field) => ({ field, check: valueCheck(field) }));
    check = (message) => {
      for (const each of fields) {
        const violation = eachValue(each.field, readField(each.field, message), each.check);
        if (violation !== undefined) return violation;
      }
      return undefined;
    };
    checks.set(schema, check);
  }
  return check;
}

function eachValue(field: DescField, value: unknown, check: ReturnType<typeof valueCheck>) {
  if (value === undefined || check === undefined) return undefined;
  if (!Array.isArray(value)) return check(value, field.name);
  for (const [index, item] of value.entries()) {
    const violation = check(item, `${field.name}[${index}]`);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

function valueCheck(field: DescField): ((value: unknown, path: string) => Violation | undefined) | undefined {
  const { message } = field;
  if (!mayCross(field)) {
    return (value, path) => (isSet(value) ? { path, rule: "of a class that may cross" } : undefined);
  }
  if (message !== undefined) {
    return (value, path) => {
      const violation = checkOf(message)(value as Message);
      return violation === undefined ? undefined : { ...violation, path: `${path}.${violation.path}` };
    };
  }
  const rule = ruleOf(field);
  if (rule === undefined) return undefined;
  return (value, path) => (rule.holds(value as never) ? undefined : { path, rule: rule.rule });
}

/** A mistake in the protocol itself ends here: a field without a class, or of a customer's class, is never sent or taken. */
function mayCross(field: DescField): boolean {
  const declared = declaredClass(field);
  return isValueType(field.parent) || (declared !== undefined && isKnowable(declared));
}

function ruleOf(field: DescField): Rule | undefined {
  if (field.enum !== undefined) return knownNumber(field);
  const named = byName[field.name];
  if (field.scalar === ScalarType.STRING) return named ?? line;
  // `cursor` is text in lists and a number on the stream: rules for text and bytes bind those only.
  if (field.scalar === ScalarType.BYTES) return named ?? anyBytes;
  return undefined;
}

function text(pattern: RegExp, rule: string): Rule {
  return { rule, holds: (value: string) => pattern.test(value) };
}

function bytes(allows: (length: number) => boolean, rule: string): Rule {
  return { rule, holds: (value: Uint8Array) => allows(value.length) };
}

/** Members that make a key private or symmetric (RFC 7518, section 6). */
const secretMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

function isPublicKeySet(value: string): boolean {
  try {
    const { keys } = JSON.parse(value) as { keys: object[] };
    return keys.every((key) => secretMembers.every((member) => !Object.hasOwn(key, member)));
  } catch {
    return false;
  }
}

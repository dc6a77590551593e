/**
 * What the organization's authority says to everyone: documents that it signs, that anyone may carry, and that nobody
 * else can make (claims TRUST-1, TRUST-3). Here is their form, and which of them is believed over which.
 */
import { z } from "zod";

/** How each kind is named in the header of its signature (RFC 7515 section 4.1.9). */
export const documentTypes = {
  policy: "biplane-policy+jws",
  clusters: "biplane-clusters+jws",
} as const;

export type DocumentKind = keyof typeof documentTypes;
export const documentKinds = Object.keys(documentTypes) as readonly DocumentKind[];

/** Of a whole document in its signed form, which goes as one message of the link. */
export const documentBytesMax = 2 * 1024 * 1024;
/** Clocks differ: a document may be issued this much later than it is now. */
const skewSeconds = 60;

export interface DocumentHead {
  readonly org: string;
  /** Grows by one with each change of the content; the same content is signed again under the same version. */
  readonly version: number;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface SignedContent<T> {
  readonly head: DocumentHead;
  readonly content: T;
}

export interface Expectation<T> {
  readonly org: string;
  readonly nowSeconds: number;
  /** What is believed already. */
  readonly held: SignedContent<T> | undefined;
}

export type DocumentOutcome<T> =
  | { readonly kind: "accepted"; readonly document: SignedContent<T> }
  /** Says what is held already, word for word. */
  | { readonly kind: "unchanged"; readonly document: SignedContent<T> }
  /** Right in all but its time; what was held of it may still be told from what is older. */
  | { readonly kind: "expired"; readonly document: SignedContent<T> }
  /** The version that is held, with another content. */
  | { readonly kind: "forked"; readonly document: SignedContent<T> }
  | DocumentRefusal;

export type DocumentRefusal =
  | { readonly kind: "malformed"; readonly at: string }
  | { readonly kind: "wrong_organization" }
  | { readonly kind: "not_yet_valid" }
  /** Older than what is held: a lower version, or an earlier signature of the same one. */
  | { readonly kind: "rolled_back" };

const headShape = {
  org: z.string().min(1).max(63),
  version: z.int().positive(),
  issuedAt: z.int().nonnegative(),
  expiresAt: z.int().positive(),
};

/** The strict form of a kind: its head's fields and its content's, no other ones. */
export function documentSchema<S extends z.ZodRawShape>(content: S) {
  return z.strictObject({ ...headShape, ...content });
}

/** What is signed: head and content side by side. */
export function documentPayload<T extends object>({ head, content }: SignedContent<T>): object {
  return { ...head, ...content };
}

/** Judges a payload whose signature was found to be the authority's. */
export function judgeDocument<T extends object>(
  schema: z.ZodType<DocumentHead & T>,
  payload: unknown,
  expected: Expectation<T>,
): DocumentOutcome<T> {
  const parsed = schema.safeParse(payload);
  if (!parsed.success) return { kind: "malformed", at: placeOf(parsed.error) };
  const { org, version, issuedAt, expiresAt, ...content } = parsed.data;
  const document = { head: { org, version, issuedAt, expiresAt }, content: content as unknown as T };
  if (org !== expected.org) return { kind: "wrong_organization" };
  if (expiresAt <= issuedAt) return { kind: "malformed", at: "expiresAt" };
  if (issuedAt > expected.nowSeconds + skewSeconds) return { kind: "not_yet_valid" };
  const order = compare(document, expected.held);
  if (order === "rolled_back") return { kind: order };
  if (order === "forked") return { kind: order, document };
  if (expiresAt <= expected.nowSeconds) return { kind: "expired", document };
  return { kind: order === "same" ? "unchanged" : "accepted", document };
}

function compare<T>(
  document: SignedContent<T>,
  held: SignedContent<T> | undefined,
): "newer" | "same" | "rolled_back" | "forked" {
  if (held === undefined || document.head.version > held.head.version) return "newer";
  if (document.head.version < held.head.version) return "rolled_back";
  if (!isSameContent(document.content, held.content)) return "forked";
  if (document.head.issuedAt < held.head.issuedAt) return "rolled_back";
  const isSame =
    document.head.issuedAt === held.head.issuedAt && document.head.expiresAt === held.head.expiresAt;
  return isSame ? "same" : "newer";
}

/** Schemas put fields into their own order, so that equal contents have equal texts. */
export function isSameContent(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

function placeOf(error: z.ZodError): string {
  const [issue] = error.issues;
  const path = issue?.path.map(String).join(".") ?? "";
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys.join(",").slice(0, 80) : "";
  return [path, unknown].filter((part) => part !== "").join(".") || "payload";
}

/** The classes of data (claim CLS-1): every field, column, log field and audit field belongs to exactly one. */

/** From what anyone may know to what grants by possession; `proto/biplane/classes/v1` describes each. */
export const dataClasses = [
  "public",
  "platform",
  "orchestration",
  "inline_customer",
  "bulk_customer",
  "capability",
] as const;

export type DataClass = (typeof dataClasses)[number];

/** What a control plane may know, and what a log line may hold (claims CLS-2, TLS-5). */
export type KnowableClass = "public" | "platform" | "orchestration";

const knowable: ReadonlySet<DataClass> = new Set<KnowableClass>(["public", "platform", "orchestration"]);

export function isKnowable(one: DataClass): one is KnowableClass {
  return knowable.has(one);
}

/** Kinds of signed document on the wire, by the names that contracts/identity gives them. */
import { DocumentKind } from "./gen/biplane/control/v1/link_pb.ts";

export const documentKindNames = {
  policy: DocumentKind.POLICY,
  clusters: DocumentKind.CLUSTERS,
} as const satisfies Record<string, DocumentKind>;

export type DocumentKindName = keyof typeof documentKindNames;

/** Undefined for a kind that this version does not know. */
export function nameOfDocumentKind(kind: DocumentKind): DocumentKindName | undefined {
  return (Object.keys(documentKindNames) as DocumentKindName[]).find(
    (name) => documentKindNames[name] === kind,
  );
}

/** The kinds of document by name: their contents and forms, and how a signed one is judged, alike for everybody. */
import type { z } from "zod";
import { authorityUri } from "./authorities.ts";
import { type ClusterListContent, clusterListDocument } from "./cluster-list.ts";
import { type PolicyContent, policyDocument } from "./policy-document.ts";
import {
  type DocumentHead,
  type DocumentKind,
  type DocumentOutcome,
  documentBytesMax,
  documentTypes,
  type Expectation,
  judgeDocument,
} from "./signed-document.ts";

export interface DocumentContents {
  readonly policy: PolicyContent;
  readonly clusters: ClusterListContent;
}

const schemas: { readonly [K in DocumentKind]: z.ZodType<DocumentHead & DocumentContents[K]> } = {
  policy: policyDocument,
  clusters: clusterListDocument,
};

/** Checks a signature under a root; given in, so that this stays without any I/O or library of its own. */
export type OpenSigned<R extends string> = (
  text: string,
  trust: { type: string; rootPem: string; signerUri: string; nowMs: number; bytesMax: number },
) => Promise<{ readonly kind: "open"; readonly payload: unknown } | { readonly kind: R }>;

/** Never throws: a document that is not believed has a reason. */
export async function verifyDocument<K extends DocumentKind, R extends string>(
  open: OpenSigned<R>,
  kind: K,
  jws: string,
  rootPem: string,
  expected: Expectation<DocumentContents[K]>,
): Promise<DocumentOutcome<DocumentContents[K]> | { readonly kind: R }> {
  const opened = await open(jws, {
    type: documentTypes[kind],
    rootPem,
    signerUri: authorityUri(expected.org),
    nowMs: expected.nowSeconds * 1_000,
    bytesMax: documentBytesMax,
  });
  if (opened.kind !== "open" || !("payload" in opened)) return { kind: opened.kind as R };
  return judgeDocument(schemas[kind], opened.payload, expected);
}

/** The run document: the client's request with everything that it is bound to, in bytes (claim TRUST-2). */
import type { ClusterId, Digest, RunId } from "@biplane/base";
import { document } from "@biplane/data-wire";
import { create, toBinary } from "@bufbuild/protobuf";
import type { NewRun } from "./types.ts";

export interface Bound {
  readonly id: RunId;
  readonly cluster: ClusterId;
  readonly taskSpecDigest: Digest;
  readonly runSpecDigest: Digest;
}

/** The same for the same run always: its digest is what an intent has to name. */
export function runDocumentOf(
  run: NewRun,
  { id, cluster, taskSpecDigest, runSpecDigest }: Bound,
): Uint8Array {
  const { org, project, domain, run: name } = id;
  const { createdBy, request, inputUri, pins } = run;
  const value = create(document.RunDocumentSchema, {
    ...{ org, project, domain, name, cluster, createdBy, request, inputUri },
    taskSpecDigest: Buffer.from(taskSpecDigest, "hex"),
    runSpecDigest: Buffer.from(runSpecDigest, "hex"),
    pins: pins.map(({ uri, sha256 }) => ({ uri, sha256: Buffer.from(sha256, "hex") })),
  });
  return toBinary(document.RunDocumentSchema, value);
}

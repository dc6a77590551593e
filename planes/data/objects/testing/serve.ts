/** An object server that listens on a free port, for tests inside the process. */
import { createRootAuthority, issueCertificate, listen } from "@biplane/kit";
import type { EmbeddedObjects, ObjectGrants } from "../index.ts";

export interface ServedObjects {
  readonly endpoint: string;
  readonly grants: ObjectGrants;
  readonly authorityPem: string;
  close(): void;
}

const lifetimeMs = 3_600_000;

export async function serveObjects(objects: EmbeddedObjects): Promise<ServedObjects> {
  const authority = await createRootAuthority("objects under test", lifetimeMs, 0);
  const hosts = ["localhost", "127.0.0.1"];
  const identity = await issueCertificate(authority, {
    commonName: "localhost",
    hosts,
    uses: ["server"],
    lifetimeMs,
  });
  const server = objects.createServer({ identity });
  const endpoint = `https://localhost:${await listen(server, 0, "127.0.0.1")}`;
  return {
    endpoint,
    grants: objects.grants(endpoint),
    authorityPem: authority.certificatePem,
    close: () => void server.close(),
  };
}

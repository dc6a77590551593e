/**
 * The object store as a process of its own, for tests that kill it and for benchmarks that measure it:
 * `node --import ./tools/typescript.mjs store-process.ts FOLDER [PORT]`. Prints one JSON line when it listens.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ClusterId, hour, type OrgId } from "@biplane/base";
import {
  createLogger,
  createRootAuthority,
  deriveKey,
  issueCertificate,
  listen,
  readOrCreateKeyFile,
  systemClock,
} from "@biplane/kit";
import { RefusalRecorder } from "@biplane/kit/audit-log";
import { openDataAudit } from "../../audit/log.ts";
import { createStoreAudit } from "../../audit/store-requests.ts";
import { FileKeyProvider } from "../../keys/file-provider.ts";
import { ProjectKeys } from "../../keys/project-keys.ts";
import { openObjects, type StoreAudit } from "../index.ts";

const folder = process.argv[2]!;
const systemKey = await readOrCreateKeyFile(join(folder, "system.key"));
const authority = await createRootAuthority("object store under test", hour, 0);
const identity = await issueCertificate(authority, {
  commonName: "localhost",
  hosts: ["localhost", "127.0.0.1"],
  uses: ["server"],
  lifetimeMs: hour,
});
const keys = await ProjectKeys.open({
  folder: join(folder, "keys"),
  systemKey: deriveKey(systemKey, "project keys"),
  provider: await FileKeyProvider.open(join(folder, "customer-keys")),
});
const freeBytesMin = process.env["FREE_BYTES_MIN"];
const log = createLogger({ component: "objects" });
const auditFolder = process.env["AUDIT_FOLDER"];
const objects = await openObjects({
  folder: join(folder, "objects"),
  systemKey: deriveKey(systemKey, "objects"),
  keys,
  log,
  ...(auditFolder === undefined ? {} : { audit: await openAudit(auditFolder) }),
  ...(freeBytesMin === undefined ? {} : { freeBytesMin: Number(freeBytesMin) }),
});
const server = objects.createServer({ identity });
const port = await listen(server, Number(process.argv[3] ?? 0), "127.0.0.1");
const endpoint = `https://localhost:${port}`;
const grants = objects.grants(endpoint);
const everything = grants.sessionCredentials({ readPrefixes: [""], writePrefixes: [""], lifetimeMs: hour });
const narrow = grants.sessionCredentials({
  readPrefixes: ["acme/flights/development/run1/"],
  writePrefixes: ["acme/flights/development/run1/a0/"],
  lifetimeMs: hour,
});
const caPath = join(folder, "ca.pem");
await writeFile(caPath, authority.certificatePem);

const presign = (method: "GET" | "PUT", key: string) =>
  grants.presign({ method, key, lifetimeMs: hour }).reveal();
process.stdout.write(
  `${JSON.stringify({
    ready: true,
    endpoint,
    caPath,
    bucket: objects.store.bucket,
    region: objects.store.region,
    credentials: reveal(everything),
    narrowCredentials: reveal(narrow),
    presignedPut: presign("PUT", "acme/flights/development/run1/presigned"),
    presignedGet: presign("GET", "acme/flights/development/run1/presigned"),
  })}\n`,
);

process.once("SIGTERM", async () => {
  server.close();
  await objects.close();
  await keys.close();
  process.exit(0);
});

function reveal(credentials: typeof everything) {
  return {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey.reveal(),
    sessionToken: credentials.sessionToken.reveal(),
  };
}

/** As a data plane has it. */
async function openAudit(folder: string): Promise<StoreAudit> {
  const [org, cluster] = ["acme" as OrgId, "home" as ClusterId];
  const audit = await openDataAudit({ folder, systemKey, org, cluster, log });
  return createStoreAudit(audit, new RefusalRecorder(audit, systemClock, log), "peer");
}

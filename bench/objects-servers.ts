/** The two object servers that the bench compares: Biplane's own and MinIO, each a process with TLS on loopback. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";

export interface BenchServer {
  readonly name: string;
  readonly authorityPem: string;
  presign(method: "GET" | "PUT", key: string): Promise<string>;
  /** Processor time used so far. */
  cpuMs(): number;
  stop(): Promise<void>;
}

const bucket = "biplane";
const region = "us-east-1";

export async function startBiplane(): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), "biplane-bench-objects-"));
  const script = new URL("../planes/data/objects/testing/store-process.ts", import.meta.url).pathname;
  const loader = new URL("../tools/typescript.mjs", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--import", loader, script, folder], {
    stdio: ["ignore", "pipe", "inherit"],
    // Each request is on record before it does anything, as in a data plane.
    env: { ...process.env, AUDIT_FOLDER: join(folder, "audit") },
  });
  const ready = JSON.parse(await firstLine(child)) as {
    endpoint: string;
    caPath: string;
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  };
  return serverOf(
    "biplane",
    child,
    folder,
    ready.endpoint,
    readFileSync(ready.caPath, "utf8"),
    ready.credentials,
  );
}

/** Undefined where MinIO is not installed. */
export async function startMinio(): Promise<BenchServer | undefined> {
  const binary = findMinio();
  if (binary === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "biplane-bench-minio-"));
  const authority = await createRootAuthority("bench", 3_600_000, 0);
  const identity = await issueCertificate(authority, {
    commonName: "localhost",
    hosts: ["localhost", "127.0.0.1"],
    uses: ["server"],
    lifetimeMs: 3_600_000,
  });
  await mkdir(join(folder, "certs"));
  await writeFile(join(folder, "certs", "public.crt"), identity.certificatePem);
  await writeFile(join(folder, "certs", "private.key"), identity.privateKeyPem);
  const port = await freePort();
  const credentials = { accessKeyId: "benchbench", secretAccessKey: "benchbenchbench" };
  const args = ["server", "--quiet", "--certs-dir", join(folder, "certs"), "--address", `127.0.0.1:${port}`];
  const child = spawn(binary, [...args, "--console-address", "127.0.0.1:0", join(folder, "data")], {
    env: {
      ...process.env,
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
    },
    stdio: "ignore",
  });
  const endpoint = `https://localhost:${port}`;
  const server = serverOf("minio", child, folder, endpoint, authority.certificatePem, credentials);
  await createBucket(endpoint, authority.certificatePem, credentials);
  return server;
}

function serverOf(
  name: string,
  child: ChildProcess,
  folder: string,
  endpoint: string,
  authorityPem: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
): BenchServer {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  return {
    name,
    authorityPem,
    presign: (method, key) => {
      const place = { Bucket: bucket, Key: key };
      const command = method === "GET" ? new GetObjectCommand(place) : new PutObjectCommand(place);
      return getSignedUrl(client, command, { expiresIn: 3_600 });
    },
    cpuMs: () => processorMs(child.pid!),
    stop: async () => {
      client.destroy();
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** User and system time of a process, in the 10 ms ticks of Linux. */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** `MINIO` names it; else it is where programs are found, or where Go leaves what it installs. */
function findMinio(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), join(homedir(), "go/bin")];
  const places = [process.env["MINIO"], ...folders.map((folder) => join(folder, "minio"))];
  return places.find((path) => path !== undefined && existsSync(path));
}

async function createBucket(
  endpoint: string,
  authorityPem: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
): Promise<void> {
  const { NodeHttpHandler } = await import("@smithy/node-http-handler");
  const { Agent } = await import("node:https");
  const requestHandler = new NodeHttpHandler({ httpsAgent: new Agent({ ca: authorityPem }) });
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true, requestHandler });
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      return;
    } catch (error) {
      // It takes a moment until MinIO listens.
      if (attempt === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    child.once("exit", (code) => reject(new Error(`The server ended with ${code}.`)));
  });
}

/** For a line that says which reference was used. */
export function minioVersion(): string {
  const binary = findMinio();
  if (binary === undefined) return "MinIO, not installed (go install github.com/minio/minio@latest)";
  return execFileSync(binary, ["--version"], { encoding: "utf8" }).split("\n")[0]!.trim();
}

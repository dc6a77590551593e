/**
 * The embedded object server against MinIO on the same machine in the same run: TLS on both, 16 requests at once from
 * two client processes, presigned URLs. Rounds alternate between the two, so that both meet the same disk and load.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { KiB, MiB } from "@biplane/base";
import type { ObjectsJob, ObjectsJobResult } from "./objects-client.ts";
import { type BenchServer, minioVersion, startBiplane, startMinio } from "./objects-servers.ts";
import { type BenchRow, ratioRow } from "./types.ts";

interface Size {
  readonly name: string;
  readonly bytes: number;
  /** Distinct keys per client. */
  readonly keys: number;
  readonly requestsMax: number;
  readonly durationMs: number;
  readonly unit: "requests/s" | "MiB/s";
}

const clients = 2;
const connectionsPerClient = 8;
const rounds = 3;
const sizes: readonly Size[] = [
  { name: "1KiB", bytes: KiB, keys: 1_000, requestsMax: 1e9, durationMs: 2_000, unit: "requests/s" },
  { name: "1MiB", bytes: MiB, keys: 64, requestsMax: 1e9, durationMs: 2_000, unit: "MiB/s" },
  { name: "64MiB", bytes: 64 * MiB, keys: 8, requestsMax: 8, durationMs: 60_000, unit: "MiB/s" },
];

interface Figure {
  perSecond: number;
  cpuMsPerRequest: number;
}

export async function run(): Promise<BenchRow[]> {
  const biplane = await startBiplane();
  const minio = await startMinio();
  const servers = minio === undefined ? [biplane] : [biplane, minio];
  const children = Array.from({ length: clients }, () =>
    fork(new URL("./objects-client.ts", import.meta.url)),
  );
  try {
    const rows: BenchRow[] = [];
    for (const size of sizes) {
      // Every key is there before the first GET, however slow the machine.
      for (const server of servers) await measureOnce(server, children, "PUT", filling(size));
      const puts = await measure(servers, children, "PUT", size);
      const gets = await measure(servers, children, "GET", size);
      rows.push(throughputRow(`put.${size.name}`, size, puts), throughputRow(`get.${size.name}`, size, gets));
      if (size.bytes === KiB) rows.push(cpuRow("cpu.put.1KiB", puts), cpuRow("cpu.get.1KiB", gets));
    }
    return rows;
  } finally {
    for (const child of children) child.kill();
    for (const server of servers) await server.stop();
  }
}

/** The median over the rounds, by server. */
async function measure(
  servers: readonly BenchServer[],
  children: readonly ChildProcess[],
  method: "GET" | "PUT",
  size: Size,
): Promise<Map<string, Figure>> {
  const figures = new Map<string, Figure[]>(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const server of servers) {
      figures.get(server.name)!.push(await measureOnce(server, children, method, size));
    }
  }
  return new Map([...figures].map(([name, all]) => [name, medianOf(all)]));
}

async function measureOnce(
  server: BenchServer,
  children: readonly ChildProcess[],
  method: "GET" | "PUT",
  size: Size,
): Promise<Figure> {
  const jobs: ObjectsJob[] = [];
  for (const index of children.keys()) {
    const keys = Array.from({ length: size.keys }, (_, key) => `bench/objects/${size.name}/${index}/${key}`);
    jobs.push({
      method,
      urls: await Promise.all(keys.map((key) => server.presign(method, key))),
      bodyBytes: size.bytes,
      connections: connectionsPerClient,
      durationMs: size.durationMs,
      requestsMax: size.requestsMax,
      authorityPem: server.authorityPem,
    });
  }
  const cpuBefore = server.cpuMs();
  const what = `${method} of ${size.name} at ${server.name}`;
  const results = await Promise.all(jobs.map((job, index) => runJob(children[index]!, job, what)));
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  const perSecond = results.reduce((sum, result) => sum + (result.requests / result.elapsedMs) * 1_000, 0);
  return { perSecond, cpuMsPerRequest: (server.cpuMs() - cpuBefore) / requests };
}

function filling(size: Size): Size {
  return { ...size, requestsMax: size.keys, durationMs: 120_000 };
}

async function runJob(child: ChildProcess, job: ObjectsJob, what: string): Promise<ObjectsJobResult> {
  child.send(job);
  const [result] = (await once(child, "message")) as [ObjectsJobResult | { error: string }];
  if ("error" in result) throw new Error(`${what}: ${result.error}`);
  return result;
}

function throughputRow(measure: string, size: Size, figures: ReadonlyMap<string, Figure>): BenchRow {
  const scale = size.unit === "MiB/s" ? size.bytes / MiB : 1;
  const rate = (name: string) => {
    const figure = figures.get(name);
    return figure === undefined ? null : figure.perSecond * scale;
  };
  return ratioRow(
    {
      measure,
      value: rate("biplane")!,
      unit: size.unit,
      reference: minioVersion(),
      referenceValue: rate("minio"),
    },
    { atLeast: 0.5 },
  );
}

function cpuRow(measure: string, figures: ReadonlyMap<string, Figure>): BenchRow {
  const value = figures.get("biplane")!.cpuMsPerRequest;
  const referenceValue = figures.get("minio")?.cpuMsPerRequest ?? null;
  return ratioRow({ measure, value, unit: "ms", reference: minioVersion(), referenceValue }, { atMost: 2 });
}

function medianOf(figures: readonly Figure[]): Figure {
  const middle = (numbers: number[]) =>
    numbers.sort((left, right) => left - right)[Math.floor(numbers.length / 2)]!;
  return {
    perSecond: middle(figures.map(({ perSecond }) => perSecond)),
    cpuMsPerRequest: middle(figures.map(({ cpuMsPerRequest }) => cpuMsPerRequest)),
  };
}

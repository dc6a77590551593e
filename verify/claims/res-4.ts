/** RES-4: a data plane connects to what it lists, and tasks to what their project was allowed. */
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { decodeAuditRecord } from "@biplane/audit";
import { hostAndPort } from "@biplane/cli/commands/residency";
import { audit } from "@biplane/data-wire";
import type { Claim } from "../frame/claim.ts";
import { ClaimFailed } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { connectionsOf } from "../machine/connections.ts";
import { descendants } from "../machine/process-tree.ts";
import { workflowFile } from "../machine/sources.ts";
import { requireTools } from "../machine/tools.ts";
import { attachTrace, readConnections, threadsOf } from "../machine/traced-connections.ts";

export const res4: Claim = {
  id: "RES-4",
  text: "The egress of a data plane is a short published list and, per project, the hosts its tasks were allowed.",
  from: "machine",
  // Its trace is of all that the plane does, and slows it down.
  alone: ["planes"],

  async prove(subject, seen) {
    const [allowed, elsewhere] = [await listen(subject), await listen(subject)];
    const withdraw = await allow(subject, allowed.name);
    const { connected, run, output } = await tracedRun(subject, [allowed.name, elsewhere.name]);
    seen.holds(
      `traced connect() of the data plane's processes during a run whose task asked for ${allowed.name}, which its project was allowed`,
      allowed.heard() > 0 && connected.includes(allowed.name),
      `connections to ${connected.join(", ")}`,
    );
    const listed = await listedAddresses(subject);
    seen.none(
      `compared them, and those that were open before, with the ${listed.size} addresses of what \`biplane egress\` prints`,
      strays([...connected, ...openConnections(subject)], listed),
    );
    const { answers, direct } = output;
    seen.none(
      `the task asked for ${elsewhere.name} as well, which its project was not allowed, and tried it without the proxy`,
      [
        ...(/^HTTP\/1\.1 403 /.test(answers[1] ?? "") ? [] : [`the proxy answered ${answers[1]}`]),
        ...(direct[0] === "connected" ? ["it was reached directly"] : []),
        ...(elsewhere.heard() > 0 ? [`${elsewhere.name} was reached`] : []),
      ],
    );
    const records = await recordsOf(subject, run);
    seen.holds(
      "looked the refused connection up in the audit log",
      records.includes(`denied ${elsewhere.name}`) && records.includes(`allowed ${allowed.name}`),
      records.join(", "),
    );
    await withdraw();
  },

  async control(subject, seen) {
    const host = await listen(subject);
    const withdraw = await allow(subject, host.name);
    const { connected } = await tracedRun(subject, [host.name]);
    await withdraw();
    return seen.caught(
      `the data plane connected to ${host.name}, which is not on its list any more; judged in the same way`,
      strays(connected, await listedAddresses(subject)),
      new RegExp(host.name),
    );
  },
};

interface Listening {
  readonly name: string;
  readonly heard: () => number;
}

async function listen(subject: Subject): Promise<Listening> {
  let count = 0;
  const server = createServer((socket) => {
    count += 1;
    socket.on("error", () => {}).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  subject.undo.add(() => server.close());
  return { name: `127.0.0.1:${(server.address() as AddressInfo).port}`, heard: () => count };
}

/** Gives back how to take it away again. */
async function allow({ connection, undo }: Subject, host: string): Promise<() => Promise<void>> {
  const { residency, project = "" } = connection;
  await residency.changeProjectHosts({ project, allow: [host] });
  return undo.add(() => residency.changeProjectHosts({ project, withdraw: [host] }));
}

interface TracedRun {
  /** `ADDRESS:PORT` */
  readonly connected: readonly string[];
  readonly run: string;
  readonly output: { readonly answers: readonly string[]; readonly direct: readonly string[] };
}

/** A run whose task asks for all of the hosts, and tries the last one without the proxy. */
async function tracedRun(subject: Subject, hosts: readonly string[]): Promise<TracedRun> {
  requireTools("strace");
  const path = join(subject.folder, `connections-${hosts.join("-")}`);
  const processes = planeProcesses(subject);
  const letGo = subject.undo.add(await attachTrace(processes, path));
  const input = { hosts: [...hosts], addresses: [hosts.at(-1)] };
  const run = await subject.client.run({ file: workflowFile("way-out.ts"), task: "way-out" }, input);
  const { succeeded, error } = await run.wait(subject.signal);
  if (!succeeded) throw new ClaimFailed(`The run failed: ${error}`);
  const threads = new Set(processes.flatMap((pid) => [...threadsOf(pid)]));
  await letGo();
  const connected = readConnections(path, threads).map(({ address, port }) => `${address}:${port}`);
  return { connected, run: run.name, output: (await run.outputs()) as TracedRun["output"] };
}

/** The plane, and what it started to start sandboxes; what is inside a sandbox is in no list of processes of its own. */
function planeProcesses({ planes }: Subject): number[] {
  const { pid } = planes.data;
  const spawners = descendants(pid).filter(({ command }) => command.includes("sandbox-spawner"));
  return [pid, ...spawners.map((one) => one.pid)];
}

function openConnections({ planes }: Subject): string[] {
  return connectionsOf(planes.data.pid).map(({ remote }) => remote);
}

async function listedAddresses({ connection }: Subject): Promise<ReadonlySet<string>> {
  const { destinations, tasks } = await connection.residency.listDestinations({});
  const ofTasks = tasks.flatMap(({ hosts }) => hosts.map(hostAndPort));
  const found = new Set<string>();
  for (const { host, port } of [...destinations, ...ofTasks]) {
    for (const { address } of await lookup(host, { all: true }).catch(() => []))
      found.add(`${address}:${port}`);
  }
  return found;
}

function strays(connections: readonly string[], listed: ReadonlySet<string>): string[] {
  return [...new Set(connections)]
    .filter((one) => !listed.has(one))
    .map((one) => `a connection to ${one}, which is on no list`);
}

async function recordsOf({ connection, signal }: Subject, run: string): Promise<string[]> {
  const found: string[] = [];
  const request = { plane: audit.AuditPlane.DATA, codes: ["TASK_EGRESS"] };
  for await (const { record } of connection.audit.readRecords(request, { signal })) {
    const { decision, address, run: of } = decodeAuditRecord(record);
    if (of === run) found.push(`${decision} ${address}`);
  }
  return found;
}

/** IAM-4: a task's own credentials reach only what is the task's. */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { join } from "node:path";
import type { Attempt } from "../../examples/hostile/attempt.ts";
import type { Claim } from "../frame/claim.ts";
import { ClaimFailed } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { sourceFile } from "../machine/sources.ts";
import { filesBelow } from "../search/places.ts";

const filesMax = 40;
const kinds = [
  "network",
  "network by proxy",
  "read file",
  "write file",
  "process memory",
  "read object",
  "list objects",
  "mount",
];

export const iam4: Claim = {
  id: "IAM-4",
  text: "A task's own credentials reach only what is its own: its run's prefix, its bundle, the URIs its submitter could read, its declared secrets, its own sub-actions, and runs of its project-domain with its submitter's rights, audited as delegated.",
  from: "machine",

  async prove(subject, seen) {
    const { attempts, lines } = await hostileRun(subject);
    const through = attempts.filter(({ refused }) => !refused);
    seen.none(
      `ran a hostile task that made ${attempts.length} attempts to get out: the metadata service, other ports, the data plane's files, other processes, other runs' objects`,
      through.map(({ kind, target, detail }) => `${kind} of ${target}: ${detail}`),
    );
    const missing = kinds.filter((kind) => !attempts.some((one) => one.kind === kind));
    seen.none(
      "each kind of attempt was made",
      missing.map((kind) => `no attempt at: ${kind}`),
    );
    const reported = lines.filter((line) => line.startsWith("refused")).length;
    seen.holds(
      "its own log, which is its to write, tells of them",
      reported === attempts.length,
      `${reported} lines`,
    );
  },

  async control(subject, seen) {
    const { planes, connection, client } = subject;
    const open: string[] = [];
    const port = Number(new URL(connection.profile.router).port || 443);
    if (await dial(port)) open.push(`port ${port} answers outside the sandbox`);
    const files = filesBelow(planes.data.state).slice(0, filesMax);
    if (files.length > 0) open.push(`${files.length} files of the data plane are there`);
    const run = await client.run({ file: hostileFile(), task: "secretive" }, { text: "its own" });
    await run.wait();
    if ((await run.outputs()) === "its own") open.push("a run's own object is read by its own credentials");
    return (
      seen.caught("the same targets, tried by those who may", open, /outside the sandbox/) &&
      open.length === 3
    );
  },
};

function hostileFile(): string {
  return sourceFile("examples/hostile/index.ts");
}

async function hostileRun(subject: Subject): Promise<{ attempts: Attempt[]; lines: string[] }> {
  const { client, connection, planes } = subject;
  const { profile, project, domain } = connection;
  const secret = await client.run(
    { file: hostileFile(), task: "secretive" },
    { text: randomBytes(8).toString("hex") },
  );
  await secret.wait();
  const scope = `s3://${profile.bucket}/${profile.org}/${project}/${domain}/`;
  const ports = [profile.router, profile.authority, profile.objects].map((address) =>
    Number(new URL(address).port),
  );
  const targets = {
    ports,
    files: [
      ...filesBelow(planes.data.state).slice(0, filesMax),
      join("/proc", String(planes.data.pid), "environ"),
    ],
    processes: [planes.data.pid, planes.control.pid, planes.edge.pid, process.pid],
    objects: ["outputs.pb", "outcome.pb"].map((name) => `${scope}${secret.name}/a0/1/${name}`),
    folders: [`${scope}${secret.name}/`, `${scope}uploads/`, scope],
  };
  const run = await client.run({ file: hostileFile(), task: "hostile" }, targets);
  const { succeeded, error } = await run.wait(
    AbortSignal.any([subject.signal, AbortSignal.timeout(100_000)]),
  );
  if (!succeeded) throw new ClaimFailed(`The hostile task failed before it was done: ${error}`);
  const lines: string[] = [];
  for await (const { text } of run.logs()) lines.push(text);
  return { attempts: (await run.outputs()) as Attempt[], lines };
}

function dial(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      answer(true);
    });
    socket.once("error", () => answer(false));
  });
}

/** A further cluster beside a whole system: an edge and a data plane of its own, joined as an administrator joins one. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { clusters } from "@biplane/data-wire";
import { createClient } from "@connectrpc/connect";
import { Daemon, runProgram } from "../support/daemon.ts";
import { missingTools } from "../support/find-tools.ts";
import { org, type Profile, type System, startEdge } from "./system.ts";

export interface FurtherCluster {
  readonly name: string;
  readonly profile: Profile;
  readonly profilePath: string;
  readonly state: string;
  readonly edge: Daemon;
  readonly data: Daemon;
  readonly ports: Readonly<Record<"tunnel" | "router" | "authority" | "objects", number>>;
  close(): Promise<void>;
}

export async function startFurtherCluster(
  system: System,
  name: string,
  options: { readonly region?: string; readonly parameters?: readonly string[] } = {},
): Promise<FurtherCluster> {
  const { folder } = system;
  const [state, edgeState] = [join(folder, name), join(folder, `edge-${name}`)];
  for (const path of [state, edgeState]) mkdirSync(path, { mode: 0o700 });
  const control = join(folder, "control");
  const edge = await startEdge(folder, { control, edge: edgeState }, {}, name);
  const at = (service: string) => `localhost:${edge.ports.get(service)}`;
  const places = { router: `https://${at("router")}`, objects: `https://${at("objects")}` };
  const membership = createClient(clusters.MembershipService, system.transport());
  const joinCode = await membership.createJoinCode({ cluster: name, ...places });
  const enroll = ["enroll-code", "--state", control, "--org", org, "--cluster", name];
  const enrollCode = await runProgram<{ code: string }>("control", [
    ...enroll,
    "--edge-address",
    at("tunnel"),
  ]);
  await runProgram("data", [
    ...["join", joinCode.code, "--enroll-code", enrollCode.code, "--state", state],
    ...["--region", options.region ?? "eu-west"],
  ]);
  const data = new Daemon({
    program: "data",
    parameters: () => [
      ...["start", "--state", state, ...(options.parameters ?? [])],
      ...(missingTools(["bubblewrap"]) === undefined ? [] : ["--allow-unsandboxed"]),
    ],
    logPath: join(folder, `${name}.log`),
  });
  await data.start();
  const profilePath = join(state, "profile.json");
  return {
    name,
    profile: JSON.parse(readFileSync(profilePath, "utf8")) as Profile,
    profilePath,
    state,
    edge: edge.daemon,
    data,
    ports: edge.portOf(),
    close: async () => {
      await data.stop();
      await edge.daemon.stop();
    },
  };
}

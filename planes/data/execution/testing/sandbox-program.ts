/** Bundled and run as its own process, so that tests can start sandboxes as another user. Arguments in JSON. */
import { spawnSync } from "node:child_process";
import { createLogger } from "@biplane/kit/logging";
import { createLauncher } from "../sandbox/launcher.ts";
import type { Installation } from "../sandbox/types.ts";

export interface SandboxProgramArguments {
  readonly installation: Installation;
  readonly folder: string;
  readonly socketFolder: string;
  /** Run by the sandbox's Node, or without a sandbox by this one. */
  readonly script: string;
  readonly sandboxed: boolean;
  readonly memoryBytes?: number;
  readonly cpus?: number;
}

const given = JSON.parse(process.argv[2] ?? "{}") as SandboxProgramArguments;
if (given.sandboxed) await runSandboxed();
else process.stdout.write(spawnSync(process.execPath, ["-e", given.script], { encoding: "utf8" }).stdout);

async function runSandboxed(): Promise<void> {
  const launcher = createLauncher({
    ...given,
    allowUnsandboxed: false,
    hasSnapshot: false,
    log: createLogger({ component: "test", level: "silent" }),
  });
  const { node } = launcher.inside(given.socketFolder);
  const user = process.getuid?.() === 0 ? 61_999 : undefined;
  const options = { argv: [node, "-e", given.script], environment: {}, socketFolder: given.socketFolder };
  const sandbox = await launcher.start({ ...options, control: false, background: false }, user);
  sandbox.setLimits({ memoryBytes: given.memoryBytes, cpus: given.cpus });
  sandbox.stdout.pipe(process.stdout);
  sandbox.stderr.pipe(process.stderr);
  const end = await sandbox.ended;
  await launcher.close();
  process.exitCode = end.exitCode ?? 1;
  if (end.memoryExceeded) process.stdout.write('{"memoryExceeded":true}');
}

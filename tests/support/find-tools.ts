/** Finds the programs and packages of the machine that some tests need, and says how to install what is missing. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";

export const pythonPath = resolve(import.meta.dirname, "../../.tools/venv/bin/python");
/** The public checker of tlog-tiles logs, github.com/transparency-dev/tessera/cmd/fsck. */
export const fsckPath = resolve(import.meta.dirname, "../../.tools/go/fsck");
export const flytePath = resolve(import.meta.dirname, "../../.tools/venv/bin/flyte");

interface Tool {
  readonly probe: readonly [program: string, ...parameters: string[]];
  readonly install: string;
}

const tools = {
  aws: { probe: ["/usr/bin/aws", "--version"], install: "apt-get install awscli" },
  bubblewrap: { probe: ["bwrap", "--version"], install: "apt-get install bubblewrap" },
  tcpdump: { probe: ["tcpdump", "--version"], install: "apt-get install tcpdump" },
  tshark: { probe: ["tshark", "--version"], install: "apt-get install tshark" },
  strace: { probe: ["strace", "--version"], install: "apt-get install strace" },
  fsck: {
    probe: [fsckPath, "--help"],
    install: "GOBIN=$PWD/.tools/go go install github.com/transparency-dev/tessera/cmd/fsck@v1.0.4",
  },
  boto3: pythonPackage("boto3"),
  obstore: pythonPackage("obstore"),
  tink: pythonPackage("tink"),
  sslscan: { probe: ["sslscan", "--version"], install: "apt-get install sslscan" },
  moto: pythonPackage("moto"),
  softhsm2: { probe: ["softhsm2-util", "--version"], install: "apt-get install softhsm2" },
  pkcs11js: {
    probe: [process.execPath, "-e", "require('pkcs11js')"],
    install: "npm install, with a C++ compiler",
  },
  flyte: { probe: [flytePath, "--version"], install: "npm test, where python3 and PyPI are there" },
} as const satisfies Record<string, Tool>;

export type ToolName = keyof typeof tools;

function pythonPackage(name: string): Tool {
  return {
    probe: [pythonPath, "-c", `import ${name}`],
    install: "npm test, where python3 and PyPI are there",
  };
}

/** The reason why tests that need these tools can't run, or undefined where all are there. */
export function missingTools(names: readonly ToolName[]): string | undefined {
  const missing = names.filter((name) => !works(tools[name].probe));
  if (missing.length === 0) return undefined;
  return `needs ${missing.map((name) => `${name} (${tools[name].install})`).join(" and ")}`;
}

const probed = new Map<string, boolean>();

function works(probe: Tool["probe"]): boolean {
  const key = probe.join(" ");
  const known = probed.get(key);
  if (known !== undefined) return known;
  const [program, ...parameters] = probe;
  const here = program.startsWith("/") && !existsSync(program) ? false : succeeds(program, parameters);
  probed.set(key, here);
  return here;
}

function succeeds(program: string, parameters: readonly string[]): boolean {
  return spawnSync(program, parameters, { stdio: "ignore", timeout: 60_000 }).status === 0;
}

/** A modified control plane in a process of its own, on the state and in the place of the honest one that was stopped. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { killAtExit } from "@biplane/kit/child-processes";
import { sourceFile } from "../machine/sources.ts";
import type { Orders } from "./process.ts";

export { intentAttacks } from "./intent-attacks.ts";
export { attacker, messageAttacks } from "./message-attacks.ts";

const answerMsMax = 60_000;

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export interface HostileControlPlane extends Orders {
  stop(): Promise<void>;
}

/** `folder`: state of the control plane that it replaces. */
export async function startHostileControlPlane(place: {
  readonly folder: string;
  readonly port: number;
  readonly org: string;
  readonly logPath: string;
}): Promise<HostileControlPlane> {
  const log = openSync(place.logPath, "a");
  const child = fork(
    sourceFile("verify/hostile-control-plane/process.ts"),
    [place.folder, String(place.port), place.org],
    {
      execArgv: ["--import", sourceFile("tools/typescript.mjs")],
      stdio: ["ignore", log, log, "ipc"],
    },
  );
  killAtExit(child);
  await answerTo(child, 0);
  let count = 0;
  const give = async (order: string, parameters: readonly unknown[]) => {
    count += 1;
    const answer = answerTo(child, count);
    child.send({ id: count, order, parameters });
    return answer;
  };
  const stop = async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  return new Proxy({} as HostileControlPlane, {
    get: (_, name) => {
      if (name === "stop") return stop;
      // So that one can be the result of an async function.
      if (name === "then") return undefined;
      return (...parameters: unknown[]) => give(String(name), parameters);
    },
  });
}

function answerTo(child: ChildProcess, id: number): Promise<unknown> {
  return new Promise((done, failed) => {
    const timer = setTimeout(() => end(new Error("The hostile control plane does not answer.")), answerMsMax);
    const end = (error: Error | undefined, value?: unknown) => {
      clearTimeout(timer);
      child.off("message", hear);
      child.off("exit", exited);
      if (error === undefined) done(value);
      else failed(error);
    };
    const hear = (answer: unknown) => {
      const { id: to, value, error } = answer as Answer;
      if (to === id) end(error === undefined ? undefined : new Error(error), value);
    };
    const exited = () => end(new Error("The hostile control plane ended; its log says why."));
    child.on("message", hear);
    child.once("exit", exited);
  });
}

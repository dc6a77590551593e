/** One attempt after the other: environment, bundle, the SDK's run, the last bytes of output, the result. */
import { limits } from "@biplane/base";
import type { worker } from "@biplane/data-wire";
import type { RunTask } from "@biplane/sdk/host";
import { type ImportModule, importBundle } from "./bundle.ts";
import type { ControlChannel, ToWorker } from "./control.ts";
import { failureOf } from "./failure.ts";
import type { AttemptHost } from "./host.ts";

export interface RunnerOptions {
  readonly control: ControlChannel;
  readonly host: AttemptHost;
  readonly runTask: RunTask;
  readonly importModule: ImportModule;
  /** Bundles are unpacked here. */
  readonly folder: string;
}

export class TaskRunner {
  readonly #options: RunnerOptions;
  readonly #ownEnvironment: ReadonlySet<string>;
  /** The attempt under way; undefined between attempts. */
  #current: worker.Start | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#ownEnvironment = new Set(Object.keys(process.env));
  }

  receive(message: ToWorker): void {
    if (message.case === "start") void this.#run(message.value);
    else if (message.case === "cancel") this.#options.host.cancel();
    else if (message.case === "token") this.#options.host.renew(message.value.token, message.value.store);
  }

  /** For errors that reach nobody: the attempt fails, and this process, whose state nobody knows, ends. */
  async failUncaught(code: string, error: unknown): Promise<never> {
    const current = this.#current;
    if (current !== undefined) await this.#finish(current, failureOf(code, error));
    process.exit(1);
  }

  async #run(start: worker.Start): Promise<void> {
    this.#current = start;
    this.#options.host.begin(start);
    this.#applyEnvironment(start.environment);
    await this.#finish(start, await this.#execute(start));
  }

  async #execute(start: worker.Start): Promise<worker.Done> {
    try {
      const { importModule, folder } = this.#options;
      const digest = Buffer.from(start.bundleDigest).toString("hex");
      const bundle = await importBundle(importModule, folder, digest, start.bundle);
      return checkSize(await this.#options.runTask(start, this.#options.host, bundle));
    } catch (error) {
      return failureOf("BundleError", error);
    }
  }

  /** The output ends before the result is sent, so that the executor never waits for lines that may come or not. */
  async #finish(start: worker.Start, done: worker.Done): Promise<void> {
    if (this.#current !== start) return;
    this.#current = undefined;
    await Promise.all([process.stdout, process.stderr].map((stream) => endOutput(stream, start.endOfOutput)));
    await this.#options.control.send({ case: "done", value: done });
  }

  /** What an earlier attempt had and this one has not must not be seen by it. */
  #applyEnvironment(environment: Readonly<Record<string, string>>): void {
    for (const name of Object.keys(process.env))
      if (!this.#ownEnvironment.has(name) && !(name in environment)) delete process.env[name];
    Object.assign(process.env, environment);
  }
}

/** A message above the executor's bound would look like an attack on it. */
function checkSize(done: worker.Done): worker.Done {
  const bytes = done.result.case === "outputs" ? done.result.value.length : 0;
  if (bytes <= limits.readBytesMax) return done;
  const why = `The task's outputs have ${bytes} bytes; ${limits.readBytesMax} are the most.`;
  return failureOf("OutputsTooLarge", `${why} Return large data as a File, Dir or DataFrame.`, false);
}

function endOutput(stream: NodeJS.WriteStream, mark: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(`${mark}\n`, () => resolve());
  });
}

/**
 * A task that tries to get out of its sandbox and reports how each attempt ended. Run it on your own installation:
 *
 *     biplane run examples/hostile/index.ts hostile
 *
 * Give it targets that exist: ports that listen on the machine, files and processes of the data plane, objects of
 * another run, calls of the router that its token was not given for. Its result lists everything it tried; `refused` has to be true everywhere.
 */
import { task, z } from "@biplane/sdk";
import { attemptSchema } from "./attempt.ts";
import { tryFiles, tryPrivileges, tryProcesses } from "./machine.ts";
import { tryNetwork } from "./network.ts";
import { tryObjects } from "./objects.ts";
import { tryRouter } from "./router.ts";

export const hostile = task(
  {
    name: "hostile",
    description: "Tries to get out of its sandbox and reports how each attempt ended.",
    input: z.object({
      ports: z.array(z.number().int()).default([]),
      files: z.array(z.string()).default([]),
      processes: z.array(z.number().int()).default([]),
      objects: z.array(z.string()).default([]),
      folders: z.array(z.string()).default([]),
      calls: z.array(z.object({ method: z.string(), body: z.string() })).default([]),
    }),
    output: z.array(attemptSchema),
  },
  async ({ ports, files, processes, objects, folders, calls }) => {
    const attempts = await Promise.all([
      tryNetwork(ports),
      tryFiles(files),
      tryProcesses(processes),
      tryPrivileges(),
      tryObjects(objects, folders),
      tryRouter(calls),
    ]);
    for (const { kind, target, refused, detail } of attempts.flat())
      console.log(`${refused ? "refused" : "GOT THROUGH"}  ${kind}  ${target}  ${detail}`);
    return attempts.flat();
  },
);

/** Leaves an object behind that another run must not read. */
export const secretive = task(
  { name: "secretive", input: z.object({ text: z.string() }), output: z.string() },
  async ({ text }) => text,
);

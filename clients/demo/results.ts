/** What the run gave: the table, the report, the root action's log. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fetchReport } from "@biplane/cli/commands/open";
import { table } from "@biplane/cli/output/table";
import { size } from "@biplane/cli/output/text";
import { z } from "@biplane/sdk";
import type { Connection, RemoteRun } from "@biplane/sdk/remote";
import { say, title } from "./say.ts";

const resultSchema = z.object({
  airports: z.number(),
  flights: z.number(),
  worst: z.array(
    z.object({
      origin: z.string(),
      flights: z.number(),
      meanDelay: z.number(),
      delay90: z.number(),
      lateShare: z.number(),
      mostFlownTo: z.string(),
    }),
  ),
});

export async function tellResults(
  connection: Connection,
  run: RemoteRun,
  folder: string,
): Promise<{ report: string }> {
  const result = resultSchema.parse(await run.outputs());
  title(
    `The result: ${result.flights.toLocaleString("en")} flights from ${result.airports} airports, the worst ten`,
  );
  say(
    table(result.worst, [
      { title: "AIRPORT", value: (one) => one.origin },
      { title: "FLIGHTS", value: (one) => one.flights, align: "right" },
      { title: "MEAN DELAY", value: (one) => `${one.meanDelay.toFixed(1)} min`, align: "right" },
      { title: "90 % BELOW", value: (one) => `${one.delay90.toFixed(0)} min`, align: "right" },
      { title: "LATE", value: (one) => `${(one.lateShare * 100).toFixed(0)} %`, align: "right" },
      { title: "MOST FLOWN TO", value: (one) => one.mostFlownTo },
    ]),
  );
  return { report: await saveReport(connection, run, folder) };
}

async function saveReport(connection: Connection, run: RemoteRun, folder: string): Promise<string> {
  const { actions } = await connection.runs.listActions({ runId: run.id, request: { limit: 1_000 } });
  const gather = actions.find(
    ({ metadata }) => metadata?.spec.case === "task" && metadata.spec.value.id?.name === "flights.gather",
  );
  const html = await fetchReport(connection, run.id, gather?.id?.name ?? "a0");
  const path = join(folder, "report.html");
  await mkdir(folder, { recursive: true });
  await writeFile(path, html);
  say(`A report with a chart was made (${size(html.byteLength)}), and a Parquet table beside it.`);
  return path;
}

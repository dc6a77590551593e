/** `biplane open`: an action's report, fetched from the data plane and shown in the browser from this machine. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BiplaneError, rootAction } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { type Connection, RemoteClient } from "@biplane/sdk/remote";
import { Command } from "commander";
import { openInBrowser } from "../browser.ts";
import { reportPage } from "../output/report-page.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

interface OpenOptions extends CommonOptions {
  readonly save?: string;
  readonly run?: boolean;
}

export function openCommand(): Command {
  return withCommonOptions(
    new Command("open")
      .description("show an action's report in the browser")
      .argument("<run>")
      .argument("[action]", "the root action by default", rootAction)
      .option("--save <path>", "write the report to a file instead")
      .option("--run", "open the run's page at the router instead"),
  ).action(open);
}

async function open(runName: string, action: string, options: OpenOptions): Promise<void> {
  const connection = await connectWith(options);
  const run = new RemoteClient(connection).getRun(runName);
  if (options.run === true) return openInBrowser(run.url);
  const html = await fetchReport(connection, run.id, action);
  if (options.save !== undefined) {
    await writeFile(options.save, html, { mode: 0o600 });
    process.stderr.write(`Saved ${options.save}.\n`);
    return;
  }
  const path = join(await mkdtemp(join(tmpdir(), "biplane-report-")), "report.html");
  await writeFile(path, reportPage(html.toString("utf8")), { mode: 0o600 });
  await openInBrowser(pathToFileURL(path).href);
}

export async function fetchReport(
  connection: Connection,
  run: { org: string; project: string; domain: string; name: string },
  action: string,
): Promise<Buffer> {
  const { details } = await connection.runs.getActionDetails({ actionId: { run, name: action } });
  const { preSignedUrls } = await connection.data.createDownloadLink({
    artifactType: flyte.dataproxy.ArtifactType.REPORT,
    source: {
      case: "actionAttemptId",
      value: { actionId: { run, name: action }, attempt: Math.max(1, details?.status?.attempts ?? 1) },
    },
  });
  const url = preSignedUrls?.signedUrl[0];
  if (url === undefined) throw new BiplaneError("not_found", `${action} of ${run.name} has no report.`);
  const response = await connection.http.send(url, { method: "GET" });
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) chunks.push(chunk);
  if (response.status === 200) return Buffer.concat(chunks);
  throw new BiplaneError(response.status === 404 ? "not_found" : "failed_precondition", {
    what: `The report of ${action} can't be read (HTTP ${response.status}).`,
  });
}

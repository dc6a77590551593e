/** The page behind the link that clients print for a run: its phase, its times, its actions. */
import type { RunId } from "@biplane/base";
import { isTerminal, Phase } from "@biplane/control-wire";
import { type Html, html, type PageOptions } from "@biplane/kit/html";
import type { ActionRecord, RunRecord, Runs } from "../../runs/types.ts";

const actionsShown = 200;

export async function runPage(runs: Pick<Runs, "getRun" | "listActions">, id: RunId): Promise<PageOptions> {
  const run = await runs.getRun(id);
  const query = { filters: [], sort: [], limit: actionsShown, cursor: "" };
  const { items, nextCursor } = await runs.listActions(id, query);
  const more = nextCursor === "" ? undefined : html`<p>These are the first ${actionsShown} actions.</p>`;
  return {
    title: `Run ${run.run}`,
    refreshSeconds: isTerminal(run.phase) ? undefined : 3,
    body: html`${summary(run)}
<h2>Actions</h2>
${actionTable(items)}
${more}
<h2>Look further</h2>
<p><code>biplane io ${run.run}</code> shows inputs and outputs, <code>biplane logs ${run.run}</code> the log lines,
<code>biplane open ${run.run}</code> the report.</p>`,
  };
}

function summary(run: RunRecord): Html {
  return html`<table>
<tbody>
<tr><th scope="row">Phase</th><td>${phaseName(run.phase)}</td></tr>
<tr><th scope="row">Task</th><td>${run.taskName} ${run.taskVersion}</td></tr>
<tr><th scope="row">Project and domain</th><td>${run.project}, ${run.domain}</td></tr>
<tr><th scope="row">Submitted</th><td>${time(run.createdAtMs)}</td></tr>
<tr><th scope="row">Started</th><td>${time(run.startedAtMs)}</td></tr>
<tr><th scope="row">Ended</th><td>${time(run.endedAtMs)}</td></tr>
</tbody>
</table>`;
}

function actionTable(actions: readonly ActionRecord[]): Html {
  const rows = actions.map(
    (
      action,
    ) => html`<tr><td><code>${action.action}</code></td><td>${action.taskName}</td><td>${phaseName(action.phase)}</td>
<td class="number">${Math.max(1, action.attempts.length)}</td><td class="number">${took(action)}</td><td>${action.failure?.code}</td></tr>
`,
  );
  return html`<div class="list" tabindex="0" role="region" aria-label="Actions"><table>
<thead><tr><th scope="col">Name</th><th scope="col">Task</th><th scope="col">Phase</th><th scope="col" class="number">Attempts</th>
<th scope="col" class="number">Took</th><th scope="col">Failure</th></tr></thead>
<tbody>
${rows}</tbody>
</table></div>`;
}

function phaseName(phase: Phase): string {
  return (Phase[phase] ?? "unknown").toLowerCase().replaceAll("_", " ");
}

function time(ms: number | undefined): string {
  return ms === undefined ? "–" : new Date(ms).toISOString();
}

function took(action: ActionRecord): string {
  const { startedAtMs, endedAtMs } = action;
  if (startedAtMs === undefined || endedAtMs === undefined) return "–";
  return `${((endedAtMs - startedAtMs) / 1_000).toFixed(1)} s`;
}

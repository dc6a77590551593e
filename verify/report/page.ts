/** The evidence as one page without scripts. It carries the envelope, and says nothing that is not in it. */
import { type Html, html, Html as Markup } from "@biplane/kit/html";
import { type Envelope, openEnvelope, type Statement } from "./envelope.ts";

const opening = '<script type="application/json" id="envelope">';
const closing = "</script>";
const style = `
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1f2b; background: #fff; max-width: 62rem; margin: 3rem auto; padding: 0 1.5rem }
h1 { font-size: 1.7rem; margin: 0 0 .5rem } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; color: #4a5263 } dd { margin: 0; overflow-wrap: anywhere }
section { border-top: 1px solid #dfe3ea; padding: 1.2rem 0 } h2 { font-size: 1.05rem; margin: 0 } p { margin: .3rem 0 } ul { margin: .4rem 0 0; padding-left: 1.2rem; color: #4a5263; font-size: .92rem } li { overflow-wrap: anywhere }
.good { color: #0b6b3a } .bad { color: #a61b1b } .other { color: #6b5900 }
@media (prefers-color-scheme: dark) { body { background: #12151c; color: #e8ebf1 } dl, ul { color: #a9b1c0 } section { border-color: #2a3140 } .good { color: #59c98d } .bad { color: #ff8a80 } .other { color: #d9c45a } }
`;

export function pageOf(envelope: Envelope, statement: Statement): string {
  const { predicate } = statement;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evidence: ${predicate.org}, ${predicate.cluster}</title><style>${new Markup(style)}</style></head><body><main>
<h1>What was verified at ${predicate.router}</h1>
<dl>
<dt>Organization, cluster</dt><dd>${predicate.org}, ${predicate.cluster}</dd>
<dt>When</dt><dd>${predicate.startedAt} to ${predicate.endedAt}</dd>
${statement.subject.map(({ name, digest }) => html`<dt>${name}</dt><dd>SHA-256 ${digest.sha256}</dd>`)}
</dl>
<p>Check this file offline: <code>biplane verify --check FILE --root FINGERPRINT</code></p>
${predicate.claims.map((one) => sectionOf(one.id, one.text, wordOf(one.status), one.reason, one.evidence))}
${predicate.controls.map((one) => sectionOf(`Control of ${one.id}`, "", one.caught ? good("caught") : bad("not caught"), one.reason, one.evidence))}
</main>
${new Markup(`${opening}${JSON.stringify(envelope)}${closing}`)}
</body></html>
`;
  return page.markup;
}

function sectionOf(
  title: string,
  text: string,
  word: Html,
  reason: string,
  evidence: readonly string[],
): Html {
  const lines = evidence.map((line) => html`<li>${line}</li>`);
  return html`<section><h2>${title} ${word}</h2>${text === "" ? "" : html`<p>${text}</p>`}${reason === "" ? "" : html`<p>${reason}</p>`}<ul>${lines}</ul></section>`;
}

function wordOf(status: string): Html {
  if (status === "pass") return good("holds");
  return status === "fail" ? bad("fails") : html`<span class="other">not applicable</span>`;
}

const good = (word: string) => html`<span class="good">${word}</span>`;
const bad = (word: string) => html`<span class="bad">${word}</span>`;

/** The envelope of a page whose text is what the envelope makes; undefined for any other text. */
export function envelopeOfPage(text: string): unknown {
  const [start, end] = [text.indexOf(opening), text.lastIndexOf(closing)];
  if (start === -1 || end === -1) return undefined;
  const envelope: unknown = JSON.parse(text.slice(start + opening.length, end));
  const opened = openEnvelope(envelope);
  // A page that was changed says other things than what was signed.
  return opened.kind === "genuine" && pageOf(envelope as Envelope, opened.statement) === text
    ? envelope
    : undefined;
}

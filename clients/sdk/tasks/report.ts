/** A page about what a task found, kept beside its outputs and shown to who may read them. */
import { limits } from "@biplane/base";
import { currentScope } from "../running/scope.ts";

/** Sets the report to this HTML document; called again it replaces the one before. Scripts in it never run. */
function html(document: string): void {
  if (Buffer.byteLength(document) > limits.reportBytesMax) {
    throw new RangeError(`A report has at most ${limits.reportBytesMax} bytes.`);
  }
  currentScope()?.setReport(document);
}

/** Text as HTML: what looks like markup is shown, not interpreted. */
function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

export const report = { html, escape: escapeHtml } as const;

/** `biplane verify --check FILE`: judges a report offline. */
import { readFile } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import { openEnvelope, type Statement } from "./envelope.ts";
import { envelopeOfPage } from "./page.ts";

/** Throws `data_loss` for a report that was changed, or that another organization signed. */
export async function checkReport(
  path: string,
  wantedRoot: string | undefined,
): Promise<{ statement: Statement; rootFingerprint: string }> {
  const text = await readFile(path, "utf8");
  const opened = openEnvelope(contentOf(text));
  if (opened.kind === "refused") throw refused(path, opened.why);
  const { statement, rootFingerprint } = opened;
  if (wantedRoot !== undefined && plain(wantedRoot) !== plain(rootFingerprint)) {
    throw refused(path, `It was signed under the root ${rootFingerprint}, and not under ${wantedRoot}.`);
  }
  return { statement, rootFingerprint };
}

function contentOf(text: string): unknown {
  try {
    return text.trimStart().startsWith("{") ? JSON.parse(text) : envelopeOfPage(text);
  } catch {
    return undefined;
  }
}

function plain(fingerprint: string): string {
  return fingerprint.toLowerCase().replaceAll(":", "");
}

function refused(path: string, why: string): BiplaneError {
  return new BiplaneError("data_loss", {
    what: `The report ${path} is refused.`,
    why,
    next: "Ask whoever gave it to you for the original, or verify again.",
  });
}

/** The forms in which a text may hide in bytes: as it is, encoded, or escaped. */

export interface CanaryForm {
  readonly canary: string;
  /** Which encoding this is, for the report. */
  readonly form: string;
  readonly bytes: Buffer;
}

/** A canary has to be long and random: short ones turn up by chance, and escapes of plain letters say nothing. */
const charactersMin = 16;

/** Raw, hex, base64 in its three alignments, URL- and JSON-escaped, UTF-16; each once. */
export function canaryForms(canary: string): readonly CanaryForm[] {
  if (canary.length < charactersMin) throw new Error(`A canary needs ${charactersMin} characters or more.`);
  const raw = Buffer.from(canary, "utf8");
  const candidates: [string, Buffer][] = [
    ["raw", raw],
    ["hex", Buffer.from(raw.toString("hex"))],
    ["hex, upper case", Buffer.from(raw.toString("hex").toUpperCase())],
    ...base64Forms(raw),
    ["URL-escaped", Buffer.from(encodeURIComponent(canary))],
    ["JSON-escaped", Buffer.from(JSON.stringify(canary).slice(1, -1))],
    ["UTF-16, little endian", Buffer.from(canary, "utf16le")],
    ["UTF-16, big endian", Buffer.from(canary, "utf16le").swap16()],
  ];
  const seen = new Set<string>();
  const forms: CanaryForm[] = [];
  for (const [form, bytes] of candidates) {
    const key = bytes.toString("latin1");
    if (seen.has(key)) continue;
    seen.add(key);
    forms.push({ canary, form, bytes });
  }
  return forms;
}

/** What of the text is certain in base64 when 0, 1 or 2 unknown bytes come before it; both alphabets. */
function base64Forms(raw: Buffer): [string, Buffer][] {
  return [0, 1, 2].flatMap((offset): [string, Buffer][] => {
    const padded = Buffer.concat([Buffer.alloc(offset), raw]);
    const text = padded.toString("base64").replace(/=+$/, "");
    const firstCertain = Math.ceil((offset * 8) / 6);
    const lastCertain = Math.floor((padded.length * 8) / 6);
    const certain = text.slice(firstCertain, lastCertain);
    const urlSafe = certain.replaceAll("+", "-").replaceAll("/", "_");
    return [
      [`base64, alignment ${offset}`, Buffer.from(certain)],
      [`base64url, alignment ${offset}`, Buffer.from(urlSafe)],
    ];
  });
}

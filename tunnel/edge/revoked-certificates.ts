/**
 * Certificates that are refused although they verify: a file with one SHA-256 fingerprint (of the DER form, hex) a
 * line, looked at again every second, so that the provider can cut a cluster off without restarting the edge.
 */
import { type StatsListener, unwatchFile, watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";

const pollMs = 1_000;
const fingerprintPattern = /^[0-9a-f]{64}$/;

export class RevokedCertificates {
  #fingerprints: ReadonlySet<string> = new Set();
  readonly #path: string;
  readonly #onFileChange: StatsListener;

  private constructor(path: string, onChange: () => void, onFailure: (error: unknown) => void) {
    this.#path = path;
    this.#onFileChange = () => {
      this.#read().then(onChange, onFailure);
    };
  }

  /** A file that can't be read or parsed later on leaves the last good list in force and is reported. */
  static async watch(
    path: string,
    onChange: () => void,
    onFailure: (error: unknown) => void,
  ): Promise<RevokedCertificates> {
    const list = new RevokedCertificates(path, onChange, onFailure);
    await list.#read();
    watchFile(path, { interval: pollMs, persistent: false }, list.#onFileChange);
    return list;
  }

  has(fingerprint: string): boolean {
    return this.#fingerprints.has(fingerprint);
  }

  close(): void {
    unwatchFile(this.#path, this.#onFileChange);
  }

  async #read(): Promise<void> {
    const text = await readFile(this.#path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    this.#fingerprints = new Set(parseFingerprints(text, this.#path));
  }
}

function parseFingerprints(text: string, path: string): string[] {
  const lines = text
    .split("\n")
    .map((line) => line.replace(/#.*$/, "").replaceAll(":", "").trim().toLowerCase());
  const fingerprints = lines.filter((line) => line !== "");
  const wrong = lines.findIndex((line) => line !== "" && !fingerprintPattern.test(line));
  if (wrong === -1) return fingerprints;
  throw new BiplaneError("invalid_argument", {
    what: `Line ${wrong + 1} of ${path} is no fingerprint.`,
    why: "A line holds the SHA-256 of one certificate as 64 hex digits; `#` begins a remark.",
    next: "Correct the line.",
  });
}

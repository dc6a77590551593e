/** What a stranger's scanner sees of a TLS listener: Debian's `sslscan`, read from its XML. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { strongSuite } from "@biplane/verify/wire/handshakes";
import { XMLParser } from "fast-xml-parser";

export interface Scan {
  /** Versions that the listener speaks, e.g. `TLSv1.3`. */
  readonly versions: readonly string[];
  /** Suites that it accepts, in OpenSSL's spelling. */
  readonly suites: readonly string[];
}

interface ScanXml {
  readonly document: {
    readonly ssltest: {
      readonly protocol: readonly {
        readonly type: string;
        readonly version: string;
        readonly enabled: string;
      }[];
      readonly cipher?: readonly { readonly sslversion: string; readonly cipher: string }[];
    };
  };
}

const scanMsMax = 120_000;
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "",
  isArray: (name) => name === "protocol" || name === "cipher",
});

export async function scanTls(host: string, port: number): Promise<Scan> {
  const parameters = ["--no-colour", "--no-heartbleed", "--xml=-", `--sni-name=${host}`, `${host}:${port}`];
  const { stdout } = await promisify(execFile)("sslscan", parameters, { timeout: scanMsMax });
  const { ssltest } = (parser.parse(stdout) as ScanXml).document;
  const versions = ssltest.protocol
    .filter(({ enabled }) => enabled === "1")
    .map(
      ({ type, version }) => `${type.toUpperCase().replace("TLS", "TLSv").replace("SSL", "SSLv")}${version}`,
    );
  return { versions, suites: (ssltest.cipher ?? []).map(({ cipher }) => cipher) };
}

const allowedVersions = new Set(["TLSv1.2", "TLSv1.3"]);
/** What should not be there, in words. A listener that shows nothing was not seen. */
export function weaknesses({ versions, suites }: Scan): string[] {
  return [
    ...(versions.includes("TLSv1.3") ? [] : ["it does not speak TLSv1.3"]),
    ...versions.filter((version) => !allowedVersions.has(version)).map((version) => `it speaks ${version}`),
    ...(suites.length > 0 ? [] : ["no suite was accepted"]),
    ...suites.filter((suite) => !strongSuite.test(suite)).map((suite) => `it accepts ${suite}`),
  ];
}

/** The style that a machine can hold: each ban names its replacement. */

export const functionLinesMax = 70;
export const fileLinesMax = 500;

export interface TextRule {
  readonly pattern: RegExp;
  /** Where it holds; tests are judged too unless `shippedOnly`. */
  readonly folders?: readonly string[];
  readonly shippedOnly?: boolean;
  readonly except?: readonly string[];
  readonly instead: string;
}

/** Written in pieces, so that this file does not break its own rule. */
const unfinished = ["TO", "DO|FIX", "ME|X", "XX"].join("");

export const textRules: readonly TextRule[] = [
  {
    pattern: new RegExp(`\\b(${unfinished})\\b`),
    instead: "finish it, or leave it out and say so in the changelog",
  },
  {
    pattern: /\bconsole\.(log|error|warn|info|debug)\(/,
    folders: ["contracts", "kit", "planes", "tunnel"],
    shippedOnly: true,
    instead: "take a logger: it lets no data through (claim TLS-5)",
  },
  {
    pattern: /^import (?!type )[^;]*from "node:http";/m,
    folders: ["kit", "planes", "tunnel", "worker", "clients"],
    shippedOnly: true,
    // A unix socket that only its owner can reach is no connection that someone could read.
    // A browser's redirect to a native program is plain HTTP on loopback (RFC 8252 section 7.3); it is worth nothing
    // without the code verifier.
    // A proxy is spoken to in plain by all programs; inside a sandbox's own network nobody else is there to listen.
    except: ["kit/local-operations.ts", "clients/cli/sign-in/browser.ts", "worker/egress/relay.ts"],
    instead: "serve over TLS, on loopback too (claim TLS-1)",
  },
  {
    pattern: /\bMath\.random\(/,
    shippedOnly: true,
    except: ["kit/backoff.ts"],
    instead: "randomBytes of node:crypto: a name that can be guessed can be taken",
  },
  {
    pattern: /\brejectUnauthorized:\s*false\b/,
    shippedOnly: true,
    // A scanner asks what a listener would agree to, and says nothing over the connection.
    except: ["verify/wire/handshakes.ts"],
    instead: "trust a named root; a connection that trusts anyone is plaintext to whoever is between",
  },
  { pattern: /@ts-(ignore|nocheck)/, instead: "mend the type, or @ts-expect-error with the cause" },
  { pattern: /\b(test|it|describe)\.only\(/, instead: "run one test by its name on the command line" },
  {
    pattern: /\b(test|it|describe)\.(skip|todo)\(/,
    instead: "skip(context, reason) of tests/support/tools.ts, which prints the reason and fails in CI",
  },
];

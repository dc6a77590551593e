/**
 * How a join code looks: where the home cluster's router is, the organization's root to know it by, and the secret. So
 * no connection is ever opened that believes an authority which nobody named.
 */
import { randomBytes, X509Certificate } from "node:crypto";
import { BiplaneError, parseClusterId, parseOrgId, Secret } from "@biplane/base";
import { z } from "zod";
import { isAddress } from "../config.ts";

export const secretBytes = 32;

const schema = z.strictObject({
  org: z.string().transform(parseOrgId),
  cluster: z.string().transform(parseClusterId),
  /** The home cluster's router. */
  home: z.string().refine(isAddress),
  /** The organization's root, DER in base64url. */
  root: z.string().max(4_096),
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});

export interface JoinCode extends Omit<z.infer<typeof schema>, "root" | "secret"> {
  readonly rootPem: string;
  readonly secret: Secret<Uint8Array>;
}

export function newSecret(): Secret<Uint8Array> {
  return new Secret(new Uint8Array(randomBytes(secretBytes)));
}

export function writeJoinCode({ org, cluster, home, rootPem, secret }: JoinCode): Secret<string> {
  const root = new X509Certificate(rootPem).raw.toString("base64url");
  const content = { org, cluster, home, root, secret: Buffer.from(secret.reveal()).toString("base64url") };
  return new Secret(Buffer.from(JSON.stringify(content)).toString("base64url"));
}

export function readJoinCode(text: string): JoinCode {
  try {
    const bytes = Buffer.from(text.trim(), "base64url");
    const { root, secret, ...names } = schema.parse(JSON.parse(bytes.toString("utf8")));
    const rootPem = new X509Certificate(Buffer.from(root, "base64url")).toString();
    return { ...names, rootPem, secret: new Secret(new Uint8Array(Buffer.from(secret, "base64url"))) };
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: "The join code can't be read.",
        next: "Copy the whole code that `biplane create cluster` printed.",
      },
      { cause, reason: "join_code" },
    );
  }
}

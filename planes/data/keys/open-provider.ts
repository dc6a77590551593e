/** Which key provider a data plane uses: part of its configuration. Holds no secret, only where one is. */
import { readFile } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import { z } from "zod";
import { FileKeyProvider } from "./file-provider.ts";
import type { KeyProvider } from "./types.ts";

export const keyProviderSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("file") }),
  z.strictObject({
    kind: z.literal("aws-kms"),
    region: z.string().min(1).max(64),
    endpoint: z.url({ protocol: /^https$/ }).optional(),
    /** File with the authorities of a private endpoint, PEM. */
    caFile: z.string().startsWith("/").max(4_096).optional(),
    aliasPrefix: z
      .string()
      .regex(/^[A-Za-z0-9/_-]{1,100}$/)
      .default("biplane"),
  }),
  z.strictObject({
    kind: z.literal("pkcs11"),
    library: z.string().startsWith("/").max(4_096),
    tokenLabel: z.string().min(1).max(32),
    pinFile: z.string().startsWith("/").max(4_096),
    region: z.string().min(1).max(64).optional(),
  }),
]);

export type KeyProviderConfig = z.infer<typeof keyProviderSchema>;

/** What an operator wrote into a file; the embedded default without one. */
export async function readKeyProvider(path: string | undefined): Promise<KeyProviderConfig> {
  if (path === undefined) return { kind: "file" };
  try {
    return keyProviderSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: `${path} does not say where the customer's keys are.`,
        why: cause instanceof z.ZodError ? z.prettifyError(cause) : "It can't be read, or is no JSON.",
        next: "See docs/operate/keys.md for what can stand there.",
      },
      { cause },
    );
  }
}

/** `folder` is where the embedded default keeps its files. Never fails because a provider is away: that heals. */
export async function openKeyProvider(config: KeyProviderConfig, folder: string): Promise<KeyProvider> {
  switch (config.kind) {
    case "file":
      return FileKeyProvider.open(folder);
    case "aws-kms": {
      const { AwsKmsProvider } = await import("./aws-kms-provider.ts");
      const { caFile, ...options } = config;
      const authorityPem = caFile === undefined ? undefined : await readFile(caFile, "utf8");
      return new AwsKmsProvider({ ...options, authorityPem });
    }
    case "pkcs11": {
      const { Pkcs11Provider } = await import("./pkcs11-provider.ts");
      return new Pkcs11Provider(config);
    }
  }
}

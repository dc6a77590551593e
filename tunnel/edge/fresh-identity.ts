/**
 * The edge's own certificate, read again when its files change: the control plane makes a new one long before the old one
 * ends, and no connection is cut for it. A pair that does not fit is half of a change that is still under way.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { type StatsListener, unwatchFile, watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import type { TlsIdentity } from "@biplane/kit/tls";

const pollMs = 1_000;

export interface IdentityPaths {
  readonly certificate: string;
  readonly key: string;
}

/** Returns how to stop. What can't be used leaves the certificate in force and is reported. */
export function watchIdentity(
  { certificate, key }: IdentityPaths,
  onIdentity: (identity: TlsIdentity) => void,
  onFailure: (error: unknown) => void,
): () => void {
  const onFileChange: StatsListener = () => {
    readIdentity({ certificate, key }).then(onIdentity).catch(onFailure);
  };
  for (const path of [certificate, key])
    watchFile(path, { interval: pollMs, persistent: false }, onFileChange);
  return () => {
    for (const path of [certificate, key]) unwatchFile(path, onFileChange);
  };
}

async function readIdentity({ certificate, key }: IdentityPaths): Promise<TlsIdentity> {
  const [certificatePem, privateKeyPem] = await Promise.all(
    [certificate, key].map((path) => readFile(path, "utf8")),
  );
  if (!new X509Certificate(certificatePem!).checkPrivateKey(createPrivateKey(privateKeyPem!))) {
    throw new BiplaneError("failed_precondition", `${certificate} is not for the key in ${key}.`);
  }
  return { certificatePem: certificatePem!, privateKeyPem: privateKeyPem! };
}

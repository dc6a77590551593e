/** Whether a process's memory holds the private key of a certificate, as it would be kept: PKCS#8, in DER or PEM. */
import type { X509Certificate } from "node:crypto";
import { readMemory } from "./process-memory.ts";

/** RFC 5915: the private key's own copy of the public one, `[1]` with a bit string of 65 bytes in it. */
const publicKeyInPrivateKey = Buffer.from("a144034200", "hex");
const pointBytes = 65;
/** The last line of the PEM, which is of the public point's last bytes alone. */
const lastLineBytes = 42;

export function holdsPrivateKeyOf({ publicKey }: X509Certificate, pid: number): boolean {
  const { asymmetricKeyDetails } = publicKey;
  if (asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new Error("The certificate's key is not of P-256.");
  const point = publicKey.export({ format: "der", type: "spki" }).subarray(-pointBytes);
  const patterns = [
    Buffer.concat([publicKeyInPrivateKey, point]),
    Buffer.from(point.subarray(-lastLineBytes).toString("base64")),
  ];
  for (const { bytes } of readMemory(pid)) {
    if (patterns.some((pattern) => bytes.includes(pattern))) return true;
  }
  return false;
}

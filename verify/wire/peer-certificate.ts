/** The certificate that a server shows. */
import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:tls";
import { type ClientTlsOptions, clientTlsOptions } from "@biplane/kit/tls";

/** `address`: `HOST:PORT`. */
export async function peerCertificate(address: string, options: ClientTlsOptions): Promise<X509Certificate> {
  const [host = "", port = ""] = address.split(":");
  const socket = connect({ host, servername: host, port: Number(port), ...clientTlsOptions(options) });
  await once(socket, "secureConnect");
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  if (certificate === undefined) throw new Error(`${address} showed no certificate.`);
  return certificate;
}

/** The listener's certificate: issued at the start, and anew long before it ends, without closing a connection. */
import type { Server } from "node:tls";
import { day } from "@biplane/base";
import { type Closeable, type Logger, type ServerTlsOptions, serverTlsOptions } from "@biplane/kit";
import type { ProviderAuthority } from "./enrollment/authority.ts";

const renewEveryMs = 7 * day;

export async function listenerTls(
  authority: ProviderAuthority,
  hosts: readonly string[],
): Promise<ServerTlsOptions> {
  return {
    identity: await authority.issueServer("biplane control plane", hosts),
    clientAuthorityPem: authority.rootPem,
    // Enrollment is for those who have no certificate yet; every other method asks for one.
    clientCertificateOptional: true,
  };
}

/** Connections that are open keep what they began with; new ones get the newest certificate. */
export function keepCertificateFresh(
  server: Pick<Server, "setSecureContext">,
  authority: ProviderAuthority,
  hosts: readonly string[],
  log: Logger,
  everyMs = renewEveryMs,
): Closeable {
  const renew = async () => {
    try {
      server.setSecureContext(serverTlsOptions(await listenerTls(authority, hosts)));
    } catch (error) {
      log.error({ event: "certificate_renewal_failed", error }, "the listener keeps its old certificate");
    }
  };
  const timer = setInterval(() => void renew(), everyMs);
  timer.unref();
  return { close: async () => clearInterval(timer) };
}

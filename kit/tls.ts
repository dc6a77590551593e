import {
  type ConnectionOptions,
  checkServerIdentity,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type SecureContextOptions,
  type TlsOptions,
} from "node:tls";

/** What a party shows: its certificate chain and key, PEM. */
export interface TlsIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** TLS 1.3 by default, 1.2 at least, forward-secret AEAD suites only (claim TLS-2). */
export const strongTls = {
  minVersion: "TLSv1.2",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
  honorCipherOrder: true,
} as const satisfies SecureContextOptions;

export interface ServerTlsOptions {
  readonly identity: TlsIdentity;
  /** Given: clients must show a certificate of this authority. */
  readonly clientAuthorityPem?: string;
  /** Lets clients without a certificate in; the server has to ask `authorized` of each connection. */
  readonly clientCertificateOptional?: boolean;
  readonly handshakeMs?: number;
}

export function serverTlsOptions(options: ServerTlsOptions): TlsOptions {
  return {
    ...strongTls,
    cert: options.identity.certificatePem,
    key: options.identity.privateKeyPem,
    handshakeTimeout: options.handshakeMs ?? 10_000,
    ...(options.clientAuthorityPem === undefined
      ? {}
      : {
          ca: options.clientAuthorityPem,
          requestCert: true,
          rejectUnauthorized: options.clientCertificateOptional !== true,
        }),
  };
}

export interface ClientTlsOptions {
  /** The only authority believed, PEM. */
  readonly authorityPem: string;
  /** For mutual TLS. */
  readonly identity?: TlsIdentity;
  /** What the authority right above the server's certificate has to bear as a name: whose server it is. */
  readonly issuerUri?: string;
}

/** Of a connection whose certificate is below the right root, but another's than the one that was dialled. */
export const otherIssuerCode = "BIPLANE_OTHER_ISSUER";

export function clientTlsOptions(
  options: ClientTlsOptions,
): SecureContextOptions & Pick<ConnectionOptions, "rejectUnauthorized" | "checkServerIdentity"> {
  const { issuerUri } = options;
  return {
    ...strongTls,
    ca: options.authorityPem,
    rejectUnauthorized: true,
    ...(issuerUri === undefined ? {} : { checkServerIdentity: requireIssuer(issuerUri) }),
    ...(options.identity === undefined
      ? {}
      : { cert: options.identity.certificatePem, key: options.identity.privateKeyPem }),
  };
}

/** On top of the usual check of the host's name, which clusters at one host share. */
function requireIssuer(uri: string) {
  return (host: string, certificate: PeerCertificate): Error | undefined => {
    const wrongHost = checkServerIdentity(host, certificate);
    if (wrongHost !== undefined) return wrongHost;
    const { issuerCertificate } = certificate as DetailedPeerCertificate;
    const names = (issuerCertificate?.subjectaltname ?? "").split(", ");
    if (names.includes(`URI:${uri}`)) return undefined;
    const text = `The certificate of ${host} was not issued by ${uri}.`;
    return Object.assign(new Error(text), { code: otherIssuerCode });
  };
}

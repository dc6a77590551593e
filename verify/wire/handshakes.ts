/**
 * Which TLS versions and suites a listener takes: one handshake for each, offered alone. Any certificate will do here,
 * since nothing is said over any of these connections.
 */
import { once } from "node:events";
import { connect, createServer, getCiphers, type Server, type TLSSocket } from "node:tls";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";

/** Forward-secret key exchange and authenticated encryption, and nothing else (RFC 9325, section 4.2). */
export const strongSuite =
  /^(TLS_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA(256|384)|ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305))$/;

type Version = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
const oldVersions: readonly Version[] = ["TLSv1", "TLSv1.1"];

export interface Handshakes {
  /** What an ordinary client agrees on with it. */
  readonly usual: string;
  readonly tried: number;
  /** What should not have been taken, in words. */
  readonly weaknesses: readonly string[];
}

/** All suites that this machine's OpenSSL knows of, weak ones included. */
function weakSuites(): string[] {
  return getCiphers()
    .map((name) => name.toUpperCase())
    .filter((name) => !name.startsWith("TLS_") && !strongSuite.test(name));
}

export async function tryHandshakes(port: number): Promise<Handshakes> {
  const usual = await handshake(port, "TLSv1.2", "TLSv1.3", undefined);
  const weaknesses: string[] = usual.startsWith("TLSv1.3 ")
    ? []
    : [`port ${port}: an ordinary client got ${usual} instead of TLSv1.3`];
  let tried = 1;
  const offer = async (version: Version, ciphers: string, what: string) => {
    tried += 1;
    const got = await handshake(port, version, version, ciphers);
    if (got.startsWith("TLSv1")) weaknesses.push(`port ${port}: ${what} was taken (${got})`);
  };
  for (const version of oldVersions) await offer(version, "ALL:@SECLEVEL=0", version);
  for (const suite of weakSuites()) await offer("TLSv1.2", `${suite}:@SECLEVEL=0`, suite);
  return { usual, tried, weaknesses };
}

const handshakeMsMax = 10_000;

/**
 * What the peer took: version and suite, or the offer itself where the peer agreed to it and hung up later, for want of
 * a client's certificate; else why it did not.
 */
function handshake(
  port: number,
  minVersion: Version,
  maxVersion: Version,
  ciphers?: string,
): Promise<string> {
  return new Promise((resolve) => {
    let socket: TLSSocket;
    // Secrets are derived once both sides have agreed on version and suite.
    let isAgreed = false;
    const end = (answer: string) => {
      resolve(answer);
      socket?.destroy();
    };
    try {
      const offered = ciphers === undefined ? {} : { ciphers };
      const versions = { minVersion, maxVersion };
      const host = { host: "127.0.0.1", port, servername: "localhost" };
      socket = connect({ ...host, ...versions, ...offered, rejectUnauthorized: false });
    } catch (error) {
      // This machine's OpenSSL can't even offer it.
      resolve(`not offered: ${(error as Error).message}`);
      return;
    }
    const ended = (why: string) => end(isAgreed ? `${maxVersion}, then ${why}` : `refused: ${why}`);
    socket.setTimeout(handshakeMsMax, () => ended("silence"));
    socket.once("keylog", () => {
      isAgreed = true;
    });
    socket.once("secureConnect", () => end(`${socket.getProtocol()} ${socket.getCipher()?.name}`));
    socket.once("error", ({ code, message }: NodeJS.ErrnoException) => ended(code ?? message));
    socket.once("close", () => ended("closed"));
  });
}

/** A server that takes what it should not, for the control. */
export async function startWeakServer(): Promise<Server> {
  const lifetimeMs = 3_600_000;
  const root = await createRootAuthority("Weak", lifetimeMs);
  const identity = await issueCertificate(root, {
    commonName: "localhost",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs,
  });
  const server = createServer({
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    minVersion: "TLSv1",
    ciphers: "ALL:@SECLEVEL=0",
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

/**
 * The key providers that are judged, each over the real thing: files, AWS KMS as moto serves it (with one mend, see
 * `moto-kms.py`), and a SoftHSM2 token.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import type { KeyProviderConfig } from "../../planes/data/keys/open-provider.ts";
import { sourceFile } from "../machine/sources.ts";

export interface ProviderPlace {
  readonly config: KeyProviderConfig;
  /** What a plane's process needs beside its configuration. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the embedded default keeps its files. */
  readonly folder: string;
  close(): Promise<void>;
}

export interface ProviderKind {
  readonly name: string;
  readonly tools: readonly ("moto" | "softhsm2" | "pkcs11js")[];
  /** What the provider says of a disabled key. */
  readonly saysDisabled: RegExp;
  start(): Promise<ProviderPlace>;
  /** The same place, where the provider withholds every key: a wrong PIN, files open to others, no network. */
  withheld(place: ProviderPlace): Promise<KeyProviderConfig>;
}

export const providerKinds: readonly ProviderKind[] = [
  {
    name: "the key file",
    tools: [],
    saysDisabled: /its file is not there/,
    start: async () => {
      const folder = await newFolder();
      return { config: { kind: "file" }, environment: {}, folder, close: () => remove(folder) };
    },
    withheld: async ({ config, folder }) => {
      for (const file of readdirSync(folder)) await chmod(join(folder, file), 0o644);
      return config;
    },
  },
  {
    name: "AWS KMS (moto)",
    tools: ["moto"],
    saysDisabled: /KMS\.DisabledException/,
    start: startMoto,
    withheld: async ({ config }) => ({ ...config, endpoint: "https://127.0.0.1:1" }) as KeyProviderConfig,
  },
  {
    name: "PKCS#11 (SoftHSM2)",
    tools: ["softhsm2", "pkcs11js"],
    saysDisabled: /CKR_KEY_FUNCTION_NOT_PERMITTED/,
    start: startSoftHsm,
    withheld: async ({ config, folder }) => {
      const pinFile = join(folder, "wrong.pin");
      await writeFile(pinFile, "9999", { mode: 0o600 });
      return { ...config, pinFile } as KeyProviderConfig;
    },
  },
];

async function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "biplane-key-provider-"));
}

function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

async function startMoto(): Promise<ProviderPlace> {
  const folder = await newFolder();
  const root = await createRootAuthority("Test KMS", 86_400_000);
  const server = await issueCertificate(root, {
    commonName: "kms",
    hosts: ["127.0.0.1", "localhost"],
    uses: ["server"],
    lifetimeMs: 86_400_000,
  });
  const files = {
    ca: join(folder, "ca.pem"),
    certificate: join(folder, "kms.pem"),
    key: join(folder, "kms.key"),
  };
  await writeFile(files.ca, root.certificatePem);
  await writeFile(files.certificate, server.certificatePem);
  await writeFile(files.key, server.privateKeyPem, { mode: 0o600 });
  const program = sourceFile("verify/keys/moto-kms.py");
  const child = spawn(sourceFile(".tools/venv/bin/python"), [program, files.certificate, files.key], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = once(child, "exit").then(() =>
    Promise.reject(new Error("The emulator of AWS KMS did not start.")),
  );
  const [line] = (await Promise.race([once(child.stdout, "data"), ended])) as [Buffer];
  ended.catch(() => undefined);
  const endpoint = `https://127.0.0.1:${Number(line.toString())}`;
  const config = {
    kind: "aws-kms",
    region: "eu-central-1",
    endpoint,
    caFile: files.ca,
    aliasPrefix: "biplane",
  } as const;
  const environment = { AWS_ACCESS_KEY_ID: "testing", AWS_SECRET_ACCESS_KEY: "testing" };
  return { config, environment, folder, close: () => stop(child, folder) };
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  const ended = once(child, "exit");
  child.stdin?.end();
  child.kill();
  await ended;
  await remove(folder);
}

const pin = "4711";

async function startSoftHsm(): Promise<ProviderPlace> {
  const folder = await newFolder();
  const tokens = join(folder, "tokens");
  await mkdir(tokens);
  const configPath = join(folder, "softhsm2.conf");
  await writeFile(
    configPath,
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  const environment = { SOFTHSM2_CONF: configPath };
  const parameters = ["--init-token", "--free", "--label", "biplane", "--so-pin", "12345678", "--pin", pin];
  const made = spawnSync("softhsm2-util", parameters, { env: { ...process.env, ...environment } });
  if (made.status !== 0) throw new Error(`SoftHSM2 made no token: ${made.stderr}`);
  const pinFile = join(folder, "user.pin");
  await writeFile(pinFile, `${pin}\n`, { mode: 0o600 });
  const library = "/usr/lib/softhsm/libsofthsm2.so";
  const config = { kind: "pkcs11", library, tokenLabel: "biplane", pinFile } as const;
  return { config, environment, folder, close: () => remove(folder) };
}

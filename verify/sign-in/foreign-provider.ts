/** Starts the foreign OpenID provider beside a plane, with a certificate authority that nothing else knows. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "@biplane/cli/dev/settings";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { killAtExit } from "@biplane/kit/child-processes";
import { sourceFile } from "../machine/sources.ts";
import type { ForeignProviderSettings } from "./openid-provider-process.ts";

export interface ForeignProvider extends AsyncDisposable {
  readonly issuer: string;
  readonly rootPem: string;
}

const hourMs = 3_600_000;

export async function prepareForeignProvider(): Promise<{
  issuer: string;
  rootPem: string;
  start(
    settings: Omit<ForeignProviderSettings, "port" | "certificatePem" | "privateKeyPem">,
  ): Promise<ForeignProvider>;
}> {
  const root = await createRootAuthority("foreign", hourMs);
  const identity = await issueCertificate(root, {
    commonName: "foreign provider",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: hourMs,
  });
  const [port = 0] = await freePorts(1);
  const [issuer, rootPem] = [`https://localhost:${port}`, root.certificatePem];
  return {
    issuer,
    rootPem,
    start: async (settings) => {
      const folder = mkdtempSync(join(tmpdir(), "foreign-provider-"));
      const path = join(folder, "settings.json");
      writeFileSync(path, JSON.stringify({ ...settings, ...identity, port }), { mode: 0o600 });
      const program = sourceFile("verify/sign-in/openid-provider-process.ts");
      const options = ["--import", sourceFile("tools/typescript.mjs")];
      const child = spawn(process.execPath, [...options, program, path], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      killAtExit(child);
      await Promise.race([
        once(child.stdout, "data"),
        once(child, "exit").then(() => Promise.reject(new Error("The foreign provider did not start."))),
      ]);
      const stop = async () => {
        child.kill();
        rmSync(folder, { recursive: true, force: true });
      };
      return { issuer, rootPem, [Symbol.asyncDispose]: stop };
    },
  };
}

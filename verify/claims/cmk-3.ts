/** CMK-3: keys can live in a key file, AWS KMS, or a PKCS#11 HSM, and each fails closed. */
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { openKeyProvider } from "../../planes/data/keys/open-provider.ts";
import type { KeyProvider } from "../../planes/data/keys/types.ts";
import { statePaths } from "../../planes/data/state.ts";
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { type ProviderKind, type ProviderPlace, providerKinds } from "../keys/providers.ts";
import { sourceFile } from "../machine/sources.ts";

const content = new TextEncoder().encode("a project's key");
const place = "verify";

export const cmk3: Claim = {
  id: "CMK-3",
  text: "Keys can live in AWS KMS or a PKCS#11 HSM; the embedded default is a key file readable by the data plane's user only. (Google Cloud KMS and Azure Key Vault are not offered yet.)",
  from: "machine",

  async prove(subject, seen) {
    const { provider } = await subject.connection.keys.listKeys({});
    seen.note(`this installation's keys are in ${provider}.`);
    if (provider === "file") {
      const folder = statePaths(subject.planes.data.state).customerKeys;
      const open = readdirSync(folder).filter((name) => (statSync(join(folder, name)).mode & 0o077) !== 0);
      seen.none(
        `looked at the modes of ${readdirSync(folder).length} key files`,
        open.map((name) => `${name} is open to others`),
      );
    }
    for (const kind of available(seen))
      await withProvider(subject, kind, (opened) => judge(opened, seen, kind));
  },

  async control(subject, seen) {
    let isCaught = true;
    for (const kind of available(seen)) {
      await withProvider(subject, kind, async (opened, at) => {
        const version = await opened.create("customer");
        const wrapped = await opened.wrap(version, content, place);
        await opened.close();
        const withheld = await openKeyProvider(await kind.withheld(at), at.folder);
        const refusal = await refusalOf(() => withheld.unwrap(wrapped, place));
        await withheld.close();
        isCaught =
          seen.caught(
            `${kind.name}, where it is withheld: a wrong PIN, files open to others, or no way to it`,
            [refusal],
            /^refused/,
          ) && isCaught;
      });
    }
    return isCaught;
  },
};

const probes = {
  moto: () =>
    spawnSync(sourceFile(".tools/venv/bin/python"), ["-c", "import moto"], { stdio: "ignore" }).status === 0,
  softhsm2: () => spawnSync("softhsm2-util", ["--version"], { stdio: "ignore" }).status === 0,
  pkcs11js: () => createRequire(import.meta.url).resolve("pkcs11js") !== "",
} as const;

/** Those that are here; of others it is said that they were not tried. */
function available(seen: Observations): ProviderKind[] {
  return providerKinds.filter(({ name, tools }) => {
    const missing = tools.filter((tool) => !isThere(tool));
    if (missing.length > 0)
      seen.note(`${name} was NOT tried: ${missing.join(" and ")} is not installed here.`);
    return missing.length === 0;
  });
}

function isThere(tool: keyof typeof probes): boolean {
  try {
    return probes[tool]();
  } catch {
    return false;
  }
}

async function withProvider(
  subject: Subject,
  kind: ProviderKind,
  work: (provider: KeyProvider, at: ProviderPlace) => Promise<void>,
): Promise<void> {
  const at = await kind.start();
  const end = subject.undo.add(() => at.close());
  Object.assign(process.env, at.environment);
  const provider = await openKeyProvider(at.config, at.folder);
  try {
    await work(provider, at);
  } finally {
    // Some work closes it itself, to open another one in its place.
    await provider.close().catch(() => undefined);
    for (const name of Object.keys(at.environment)) delete process.env[name];
    await end();
  }
}

/** The same for each: wraps, fails closed when disabled, heals, and rotates. */
async function judge(provider: KeyProvider, seen: Observations, { name }: ProviderKind): Promise<void> {
  const version = await provider.create("customer");
  const wrapped = await provider.wrap(version, content, place);
  const opened = async () => Buffer.from(await provider.unwrap(wrapped, place)).equals(content);
  const works = await opened();
  const elsewhere = await refusalOf(() => provider.unwrap(wrapped, "elsewhere"));
  await provider.disable(version);
  const disabled = await refusalOf(opened);
  await provider.enable(version);
  const heals = await opened();
  const next = await provider.rotate("customer");
  const did = [
    works,
    elsewhere.startsWith("refused"),
    disabled.startsWith("refused"),
    heals,
    next.version !== version.version,
    await opened(),
  ];
  seen.holds(
    `${name}: wrapped and opened, tried at another place, disabled, enabled, rotated`,
    did.every(Boolean),
    `disabled: ${disabled}`,
  );
}

async function refusalOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "it opened";
  } catch (error) {
    return `refused: ${(error as Error).message.split("\n")[0]}`;
  }
}

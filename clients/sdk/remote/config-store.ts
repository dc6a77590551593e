/** What a person's machine remembers: profiles by name, and the credentials for each, in files only they can read. */
import { chmod, mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { z } from "zod";
import { withFileLock } from "./file-lock.ts";
import { profileSchema } from "./profile.ts";

const entrySchema = z.looseObject({
  profile: profileSchema,
  project: z.string().optional(),
  domain: z.string().optional(),
  /** The newest list of clusters that the organization's authority signed: an older one is not believed. */
  clusters: z.string().optional(),
});
const configSchema = z.looseObject({
  current: z.string().optional(),
  profiles: z.record(z.string(), entrySchema).default({}),
});
const credentialsSchema = z.record(
  z.string(),
  z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("client"), clientId: z.string(), clientSecret: z.string() }),
    z.object({
      kind: z.literal("user"),
      refreshToken: z.string().optional(),
      accessToken: z.string(),
      expiresAtMs: z.number(),
    }),
  ]),
);

export type ConfigEntry = z.infer<typeof entrySchema>;
export type Config = z.infer<typeof configSchema>;
export type StoredCredentials = z.infer<typeof credentialsSchema>[string];

export const defaultDomain = "development";

/** Where this machine keeps what it knows of data planes. */
export function configFolder(): string {
  return process.env["BIPLANE_CONFIG_DIR"] ?? join(homedir(), ".config", "biplane");
}

export class ConfigStore {
  readonly folder: string;

  constructor(folder = configFolder()) {
    this.folder = folder;
  }

  async read(): Promise<Config> {
    return this.#parse("config.json", configSchema, { profiles: {} });
  }

  update(change: (config: Config) => Config): Promise<Config> {
    return withFileLock(join(this.folder, "config.lock"), async () => {
      const config = change(await this.read());
      await this.#write("config.json", config);
      return config;
    });
  }

  /** The entry of a name, or of the current profile. */
  async entry(name: string | undefined): Promise<{ name: string; entry: ConfigEntry }> {
    const config = await this.read();
    const wanted = name ?? config.current;
    const entry = wanted === undefined ? undefined : config.profiles[wanted];
    if (wanted !== undefined && entry !== undefined) return { name: wanted, entry };
    const known = Object.keys(config.profiles);
    throw new BiplaneError("not_found", {
      what: wanted === undefined ? "No profile is chosen." : `There is no profile ${JSON.stringify(wanted)}.`,
      why: known.length === 0 ? "This machine knows none yet." : `This machine knows: ${known.join(", ")}.`,
      next: "Run `biplane login --profile PATH/profile.json`, or set BIPLANE_PROFILE.",
    });
  }

  async credentials(name: string): Promise<StoredCredentials | undefined> {
    return (await this.#parse("credentials.json", credentialsSchema, {}))[name];
  }

  saveCredentials(name: string, credentials: StoredCredentials | undefined): Promise<void> {
    return this.renewCredentials(name, async () => credentials);
  }

  /** Replaces credentials by what comes of the present ones, while no other command does the same. */
  renewCredentials(
    name: string,
    renew: (present: StoredCredentials | undefined) => Promise<StoredCredentials | undefined>,
  ): Promise<void> {
    return withFileLock(join(this.folder, "credentials.lock"), async () => {
      const { [name]: present, ...others } = await this.#parse("credentials.json", credentialsSchema, {});
      const credentials = await renew(present);
      if (credentials === present) return;
      await this.#write(
        "credentials.json",
        credentials === undefined ? others : { ...others, [name]: credentials },
      );
    });
  }

  async #parse<S extends z.ZodType>(file: string, schema: S, fallback: z.input<S>): Promise<z.output<S>> {
    const path = join(this.folder, file);
    const bytes = await readFileIfAny(path);
    let content: unknown = fallback;
    try {
      if (bytes !== undefined) content = JSON.parse(bytes.toString("utf8"));
    } catch {
      content = undefined;
    }
    const parsed = schema.safeParse(content);
    if (parsed.success) return parsed.data;
    throw new BiplaneError("failed_precondition", {
      what: `${path} can't be understood.`,
      next: "Repair the file, or remove it and sign in again.",
    });
  }

  async #write(file: string, content: unknown): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await chmod(this.folder, 0o700);
    await writeFileDurably(join(this.folder, file), `${JSON.stringify(content, undefined, 2)}\n`, 0o600);
  }
}

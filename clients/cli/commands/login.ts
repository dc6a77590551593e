/** `biplane login`: signs in at a data plane's identity authority and remembers it on this machine. */
import { resolve } from "node:path";
import { BiplaneError, Secret } from "@biplane/base";
import {
  ConfigStore,
  discover,
  KnownServers,
  PinnedHttp,
  type Profile,
  readProfile,
  type StoredCredentials,
  toAccessToken,
} from "@biplane/sdk/remote";
import { isCancel, password, text } from "@clack/prompts";
import { Command } from "commander";
import * as oauth from "openid-client";
import { redeemClaim } from "../dev/first-administrator.ts";
import { signInByBrowser } from "../sign-in/browser.ts";
import { signInByDevice } from "../sign-in/device.ts";

interface LoginOptions {
  readonly profile?: string;
  readonly name?: string;
  readonly project?: string;
  readonly device?: boolean;
  readonly claim?: string;
  readonly machine?: boolean;
  readonly clientId?: string;
}

export function loginCommand(): Command {
  return new Command("login")
    .description("sign in; opens the browser unless told otherwise")
    .option(
      "--profile <name-or-path>",
      "a remembered profile, or the profile.json that `biplane data init` wrote",
    )
    .option("--name <name>", "remember the profile under this name (its organization's by default)")
    .option("-p, --project <name>", "project that commands take where none is given")
    .option("--device", "show a code to enter on another device")
    .option(
      "--client-id <id>",
      "sign in as a machine; the secret comes from BIPLANE_CLIENT_SECRET or is asked for",
    )
    .option("--claim <claim>", "become the first administrator of a new organization")
    .option("--machine", "with --claim: make a machine client instead of a person")
    .action(login);
}

async function login(options: LoginOptions): Promise<void> {
  const store = new ConfigStore();
  const { name, profile } = await findProfile(store, options);
  const http = new PinnedHttp(new KnownServers(profile));
  try {
    const credentials = await signIn(profile, http, options);
    await remember(store, name, profile, options.project);
    await store.saveCredentials(name, credentials);
    process.stderr.write(`Signed in at ${profile.org} as profile ${name}. Try: biplane whoami\n`);
  } finally {
    http.close();
  }
}

async function findProfile(
  store: ConfigStore,
  options: LoginOptions,
): Promise<{ name: string; profile: Profile }> {
  const isPath = options.profile !== undefined && /[/\\]|\.json$/.test(options.profile);
  const known = isPath ? undefined : await store.entry(options.profile);
  const profile = known?.entry.profile ?? (await readProfile(resolve(options.profile ?? "profile.json")));
  return { profile, name: options.name ?? known?.name ?? profile.org };
}

/** Only once the sign-in worked: a failed one must not take the place of the profile in use. */
async function remember(
  store: ConfigStore,
  name: string,
  profile: Profile,
  project: string | undefined,
): Promise<void> {
  await store.update((config) => ({
    ...config,
    current: name,
    profiles: {
      ...config.profiles,
      [name]: { ...config.profiles[name], profile, ...(project === undefined ? {} : { project }) },
    },
  }));
}

async function signIn(profile: Profile, http: PinnedHttp, options: LoginOptions): Promise<StoredCredentials> {
  if (options.claim !== undefined && options.machine === true) return claimAsMachine(profile, options.claim);
  if (options.claim !== undefined) await claimAsPerson(profile, options.claim);
  if (options.clientId !== undefined) return signInAsMachine(profile, http, options.clientId);
  const signInPerson = options.device === true ? signInByDevice : signInByBrowser;
  return userCredentials(await signInPerson(profile, http));
}

async function claimAsMachine(profile: Profile, claim: string): Promise<StoredCredentials> {
  const client = await redeemClaim(profile, claim);
  if (client === undefined) throw new BiplaneError("internal", "The authority made no client.");
  return { kind: "client", ...client };
}

async function claimAsPerson(profile: Profile, claim: string): Promise<void> {
  const email = await ask("E-mail address", (message) => text({ message }));
  const name = await ask("Name", (message) => text({ message }));
  const secret = await ask("Password (12 characters or more)", (message) => password({ message }));
  await redeemClaim(profile, claim, { user: { email, name, password: secret } });
}

async function ask(message: string, prompt: (message: string) => Promise<string | symbol>): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new BiplaneError("invalid_argument", {
      what: `${message} has to be asked for, but there is no terminal.`,
      next: "Run it in a terminal, or give --machine or --client-id with BIPLANE_CLIENT_SECRET.",
    });
  }
  const answer = await prompt(message);
  if (isCancel(answer)) throw new BiplaneError("canceled", "The sign-in was ended.");
  return String(answer);
}

async function signInAsMachine(
  profile: Profile,
  http: PinnedHttp,
  clientId: string,
): Promise<StoredCredentials> {
  const clientSecret =
    process.env["BIPLANE_CLIENT_SECRET"] ?? (await ask("Client secret", (message) => password({ message })));
  const configuration = await discover(profile, http, clientId, new Secret(clientSecret));
  try {
    await oauth.clientCredentialsGrant(configuration);
  } catch (cause) {
    throw new BiplaneError("unauthenticated", "The client id and secret were refused.", { cause });
  }
  return { kind: "client", clientId, clientSecret };
}

function userCredentials(answer: oauth.TokenEndpointResponse): StoredCredentials {
  const { value, expiresAtMs } = toAccessToken(answer);
  const refreshToken = answer.refresh_token;
  return {
    kind: "user",
    accessToken: value,
    expiresAtMs,
    ...(refreshToken === undefined ? {} : { refreshToken }),
  };
}

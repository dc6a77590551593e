/** One signed-in connection to a data plane: what every command and the remote client share. */
import { BiplaneError, Secret } from "@biplane/base";
import {
  audit,
  border,
  clusters,
  flyte,
  keys,
  objects,
  identity as people,
  policy,
  progress,
  records,
  residency,
} from "@biplane/data-wire";
import type { ListedCluster } from "@biplane/identity";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { ConfigStore, defaultDomain } from "./config-store.ts";
import { KnownServers, type ListSource, requireListed, requireOwnListed } from "./known-servers.ts";
import { PinnedHttp } from "./pinned-http.ts";
import { type Profile, readProfile, withRoot } from "./profile.ts";
import { createRouterTransport, onceReady } from "./router-transport.ts";
import { clientCredentials, storedTokens, type TokenSource } from "./tokens.ts";

export interface ConnectOptions {
  /** Name of a stored profile, or path of a `profile.json`. Default: `BIPLANE_PROFILE`, else the current one. */
  readonly profile?: string;
  readonly project?: string;
  readonly domain?: string;
  /** Another cluster of the organization than the profile's, by the name that its authority lists. */
  readonly cluster?: string;
  /** A machine's credentials. Default: `BIPLANE_CLIENT_ID` and `BIPLANE_CLIENT_SECRET`, else the stored sign-in. */
  readonly clientId?: string;
  readonly clientSecret?: Secret<string>;
}

export interface Connection {
  readonly profile: Profile;
  readonly project: string | undefined;
  readonly domain: string;
  readonly http: PinnedHttp;
  /** The organization's clusters, as its authority signed them. */
  clusters(): Promise<readonly ListedCluster[]>;
  /** The same sign-in at another cluster. */
  at(cluster: string): Promise<Connection>;
  readonly router: Transport;
  readonly tokens: TokenSource;
  readonly runs: Client<typeof flyte.workflow.RunService>;
  readonly data: Client<typeof flyte.dataproxy.DataProxyService>;
  readonly tasks: Client<typeof flyte.task.TaskService>;
  readonly projects: Client<typeof flyte.project.ProjectService>;
  readonly identity: Client<typeof flyte.auth.IdentityService>;
  readonly records: Client<typeof records.ControlPlaneRecordsService>;
  readonly border: Client<typeof border.BorderService>;
  readonly audit: Client<typeof audit.AuditService>;
  readonly progress: Client<typeof progress.ProgressService>;
  readonly objects: Client<typeof objects.ObjectsService>;
  readonly keys: Client<typeof keys.KeysService>;
  readonly residency: Client<typeof residency.ResidencyService>;
  readonly users: Client<typeof people.UserService>;
  readonly apiKeys: Client<typeof people.ApiKeyService>;
  readonly authority: Client<typeof people.AuthorityService>;
  readonly policy: Client<typeof policy.PolicyService>;
  readonly membership: Client<typeof clusters.MembershipService>;
}

export async function openConnection(options: ConnectOptions = {}): Promise<Connection> {
  const store = new ConfigStore();
  const found = await findProfile(options.profile ?? nonEmpty(process.env["BIPLANE_PROFILE"]), store);
  const servers = new KnownServers(found.profile);
  const http = new PinnedHttp(servers);
  const tokens = await findTokens(options, found, http, store);
  const own = createRouterTransport(found.profile, servers, tokens);
  const { membership } = clientsOf(own);
  const source: ListSource = {
    fetch: async () => (await membership.getClusterList({})).list,
    stored: async () =>
      found.name === undefined ? undefined : (await store.entry(found.name)).entry.clusters,
    store: (clusters, rootPem) => keepList(store, found.name, clusters, rootPem),
  };
  const shared = {
    project: options.project ?? nonEmpty(process.env["BIPLANE_PROJECT"]) ?? found.project,
    domain: options.domain ?? nonEmpty(process.env["BIPLANE_DOMAIN"]) ?? found.domain ?? defaultDomain,
    ...{ http, tokens, clusters: () => servers.clusters(source) },
  };
  const connection = connectionTo(found.profile, own, servers, shared);
  return options.cluster === undefined ? connection : connection.at(options.cluster);
}

type SharedParts = Pick<Connection, "project" | "domain" | "http" | "tokens" | "clusters">;

/** One cluster's; the sign-in and what is known of the servers are common to all of them. */
function connectionTo(
  profile: Profile,
  transport: Transport,
  servers: KnownServers,
  shared: SharedParts,
): Connection {
  const router = onceReady(transport, async () => requireOwnListed(await shared.clusters(), profile));
  const connection: Connection = {
    ...shared,
    get profile() {
      return withRoot(profile, servers.rootPem);
    },
    router,
    ...clientsOf(router),
    at: async (name) => {
      if (name === profile.cluster) return connection;
      const { router, objects } = requireListed(await shared.clusters(), name);
      const there = { ...profile, cluster: name, router, objects };
      return connectionTo(there, createRouterTransport(there, servers, shared.tokens), servers, shared);
    },
  };
  return connection;
}

/** For the next command; a profile that was given as a file is nobody's to write. */
async function keepList(
  store: ConfigStore,
  name: string | undefined,
  clusters: string,
  rootPem: string,
): Promise<void> {
  if (name === undefined) return;
  await store.update((config) => {
    const entry = config.profiles[name];
    if (entry === undefined) return config;
    const profile = withRoot(entry.profile, rootPem);
    return { ...config, profiles: { ...config.profiles, [name]: { ...entry, profile, clusters } } };
  });
}

function clientsOf(router: Transport) {
  return {
    runs: createClient(flyte.workflow.RunService, router),
    data: createClient(flyte.dataproxy.DataProxyService, router),
    tasks: createClient(flyte.task.TaskService, router),
    projects: createClient(flyte.project.ProjectService, router),
    identity: createClient(flyte.auth.IdentityService, router),
    records: createClient(records.ControlPlaneRecordsService, router),
    border: createClient(border.BorderService, router),
    audit: createClient(audit.AuditService, router),
    progress: createClient(progress.ProgressService, router),
    objects: createClient(objects.ObjectsService, router),
    keys: createClient(keys.KeysService, router),
    residency: createClient(residency.ResidencyService, router),
    users: createClient(people.UserService, router),
    apiKeys: createClient(people.ApiKeyService, router),
    authority: createClient(people.AuthorityService, router),
    policy: createClient(policy.PolicyService, router),
    membership: createClient(clusters.MembershipService, router),
  };
}

/** The project that a command works in; it says how to name one where none is. */
export function requireProject(connection: Connection): string {
  if (connection.project !== undefined) return connection.project;
  throw new BiplaneError("invalid_argument", {
    what: "No project is chosen.",
    next: "Give --project NAME, set BIPLANE_PROJECT, or run `biplane config set project NAME`. `biplane get project` lists them.",
  });
}

interface FoundProfile {
  readonly name: string | undefined;
  readonly profile: Profile;
  readonly project: string | undefined;
  readonly domain: string | undefined;
}

async function findProfile(nameOrPath: string | undefined, store: ConfigStore): Promise<FoundProfile> {
  if (nameOrPath !== undefined && /[/\\]|\.json$/.test(nameOrPath)) {
    return { name: undefined, profile: await readProfile(nameOrPath), project: undefined, domain: undefined };
  }
  const { name, entry } = await store.entry(nameOrPath);
  return { name, profile: entry.profile, project: entry.project, domain: entry.domain };
}

async function findTokens(
  options: ConnectOptions,
  found: FoundProfile,
  http: PinnedHttp,
  store: ConfigStore,
): Promise<TokenSource> {
  const clientId = options.clientId ?? nonEmpty(process.env["BIPLANE_CLIENT_ID"]);
  const secretText = nonEmpty(process.env["BIPLANE_CLIENT_SECRET"]);
  const secret = options.clientSecret ?? (secretText === undefined ? undefined : new Secret(secretText));
  if (clientId !== undefined && secret !== undefined) {
    return clientCredentials(found.profile, http, clientId, secret);
  }
  if (found.name !== undefined) return storedTokens(found.profile, http, store, found.name);
  throw new BiplaneError("unauthenticated", {
    what: "A profile given as a file has no stored credentials.",
    next: "Set BIPLANE_CLIENT_ID and BIPLANE_CLIENT_SECRET, or run `biplane login --profile PATH` and use its name.",
  });
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

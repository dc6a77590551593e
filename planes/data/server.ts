/** Puts the data plane together: each module gets its neighbours as interfaces, and closes before what it needs. */
import type { AuditCode } from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import { eventOf } from "@biplane/kit/audit-log";
import { fingerprint } from "@biplane/kit/certificates";
import { systemClock } from "@biplane/kit/clock";
import { readKeyFile } from "@biplane/kit/crypto";
import { lockFolder } from "@biplane/kit/folder-lock";
import { type Closeable, Closers } from "@biplane/kit/lifecycle";
import { type LocalOperations, serveLocalOperations } from "@biplane/kit/local-operations";
import { keepMembership } from "./clusters/membership-keeper.ts";
import { localHosts } from "./clusters/places.ts";
import { type DataPlaneConfig, ownHosts, readConfig } from "./config.ts";
import { openTaskEgress } from "./egress/open.ts";
import { openToPublic, sandboxEntrances } from "./entrances.ts";
import { type Executor, startExecutor } from "./execution/executor.ts";
import {
  type OrganizationCertificates,
  OwnCertificates,
  readCertificates,
  renewIntermediate,
  ServingCertificate,
  writeCertificates,
} from "./identity/certificates.ts";
import { requireRoot } from "./identity/root.ts";
import { finishRotation, RootRotation } from "./identity/root-rotation.ts";
import { createLinkRecords, type Link, startLink } from "./link/index.ts";
import { localOperations } from "./local-operations.ts";
import type { DataPlaneOptions } from "./options.ts";
import { allowDestinations, followHome, recordRefusedEgress } from "./residency/open.ts";
import type { Router } from "./router/router.ts";
import { createRouting } from "./routing.ts";
import { writeProfile } from "./setup.ts";
import { statePaths } from "./state.ts";
import { type OpenParts, openStores, type Stores } from "./stores.ts";

export interface DataPlane extends Closeable {
  readonly config: DataPlaneConfig;
  readonly linkConnected: boolean;
  /** Whether the public could come in when the plane had started. */
  readonly isOpen: boolean;
  readonly sandboxKind: Executor["sandboxKind"];
}

const openMsMax = 5_000;

export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const closers = new Closers();
  try {
    return await start(options, closers);
  } catch (error) {
    await closers.close().catch(() => {});
    throw error;
  }
}

async function start(options: DataPlaneOptions, closers: Closers): Promise<DataPlane> {
  const paths = statePaths(options.state);
  const config = await readConfig(paths.config);
  closers.add(await lockFolder(options.state));
  const systemKey = await readKeyFile(paths.systemKey);
  const certificates = await openOwnCertificates({ paths, config, systemKey });
  const parts: OpenParts = { options, paths, config, systemKey, certificates };
  const serving = closers.add(
    await ServingCertificate.issue(certificates.served, hostsOf(config), options.certificateMs),
  );
  certificates.onChange((next) => serving.renewUnder(next.served));
  await allowDestinations(parts);
  const stores = await openStores(parts, closers);
  recordRefusedEgress(parts, stores);
  followHome(parts, stores);
  if (config.home !== undefined) closers.add(keepOwnMembership(parts, stores));
  const link = closers.add(await openLink(parts, stores));
  const addressFrom = options.listen ? "peer" : "edge";
  const { log, egress } = options;
  const routing = {
    config,
    stores,
    controlPlane: link,
    serving,
    certificates,
    addressFrom,
    egress,
    log,
  } as const;
  const { router, servers } = await createRouting(routing);
  const executor = closers.add(await openExecutor(parts, stores, router, serving));
  const entrance = closers.add(await openToPublic(parts, stores, servers));
  // Whoever waits for the ready line wants to come in; an edge that is away must not keep the plane from running.
  const isOpen = await entrance.open(AbortSignal.timeout(openMsMax));
  closers.add(await serveLocalOperations(options.state, operationsOf(parts, stores)));
  await recordLifecycle(stores, "PLANE_STARTED");
  return {
    config,
    sandboxKind: executor.sandboxKind,
    isOpen,
    get linkConnected() {
      return link.connected;
    },
    close: async () => {
      await recordLifecycle(stores, "PLANE_STOPPED").catch(() => {});
      await closers.close();
    },
  };
}

function openLink({ options, paths, config }: OpenParts, stores: Stores): Promise<Link> {
  const { outbox, intents } = stores.runs;
  const { region, addresses } = config;
  return startLink({
    enrollmentFolder: paths.link,
    outbox,
    intents,
    records: createLinkRecords(stores.audit, stores.refusals),
    witness: stores.witness,
    tokens: stores.identity.tokens,
    ledger: stores.ledger,
    documents: stores.identity.documents,
    metadataRegions: config.metadataRegions,
    hello: { routerAddress: addresses.router, region, softwareVersion: options.softwareVersion },
    log: options.log,
  });
}

function openExecutor(
  parts: OpenParts,
  stores: Stores,
  router: Router,
  serving: ServingCertificate,
): Promise<Executor> {
  const { options, paths, config, certificates } = parts;
  const { addresses } = config;
  const egress = openTaskEgress(parts, stores, serving);
  return startExecutor({
    queue: stores.runs.queue,
    runs: stores.runs.runs,
    objects: stores.objects.store,
    grants: stores.objects.grants(addresses.objects),
    logs: stores.logs,
    tokens: stores.identity.tokens,
    hasHosts: (project) => stores.projectHosts.of(project).length > 0,
    entrances: sandboxEntrances(stores, router, egress, serving),
    authorityPem: () => certificates.rootPem,
    routerEndpoint: addresses.router,
    storeEndpoint: addresses.objects,
    folder: paths.execution,
    installation: options.installation,
    ...(options.slots === undefined ? {} : { slots: options.slots }),
    ...(options.sandboxes === undefined ? {} : { sandboxesMax: options.sandboxes }),
    allowUnsandboxed: options.allowUnsandboxed,
    clock: systemClock,
    log: options.log,
  });
}

function keepOwnMembership({ config, certificates, options }: OpenParts, stores: Stores): Closeable {
  const { identity, audit } = stores;
  const { documents, clusters, keys } = identity;
  return keepMembership({
    ...{ config, certificates: certificates.present, clusters, keys },
    onList: (listener) => documents.onCurrent("clusters", listener),
    onCertificates: async (next) => {
      const { certificatePem } = next.root;
      if (certificatePem !== certificates.rootPem) {
        await audit.record(eventOf("ROOT_FOLLOWED", { requestId: fingerprint(certificatePem) }));
      }
      await certificates.replace(next);
    },
    clock: systemClock,
    log: options.log,
  });
}

function operationsOf(
  { paths, config, systemKey, certificates }: OpenParts,
  stores: Stores,
): LocalOperations {
  const { identity, audit } = stores;
  const { documents, members } = identity;
  let rotation: RootRotation | undefined;
  return localOperations(config.org, stores, () => {
    if (config.home !== undefined) throw identity.clusters.notHome();
    const place = { paths, systemKey, names: config, certificates };
    rotation ??= new RootRotation({ ...place, documents, members, audit });
    return rotation;
  });
}

async function openOwnCertificates(
  parts: Pick<OpenParts, "paths" | "config" | "systemKey">,
): Promise<OwnCertificates> {
  const { paths, config, systemKey } = parts;
  const certificates = new OwnCertificates(paths.certificates, systemKey, await openCertificates(parts));
  // A crash may have come between.
  if (certificates.present.predecessor !== undefined) {
    await writeProfile(paths, config, certificates.rootPem);
  }
  certificates.onChange((next) => writeProfile(paths, config, next.rootPem));
  return certificates;
}

async function openCertificates({
  paths,
  config,
  systemKey,
}: Pick<OpenParts, "paths" | "config" | "systemKey">): Promise<OrganizationCertificates> {
  const certificates = await readCertificates(paths.certificates, systemKey);
  if (certificates === undefined) throw incomplete(paths.certificates);
  // A joined cluster asks its home for that, once it runs (clusters/membership-keeper.ts).
  if (config.home !== undefined) return certificates;
  const signIntermediate = async (request: Uint8Array) =>
    (await requireRoot(paths.root, systemKey)).signHome(request, config);
  const write = (next: OrganizationCertificates) => writeCertificates(paths.certificates, systemKey, next);
  const present = await finishRotation({ paths, systemKey, names: config }, certificates, write);
  return renewIntermediate(paths.certificates, systemKey, present, signIntermediate, systemClock.now());
}

/** Like the tunnel's health; how often it was tried in vain would fill the log (claim AUD-2). */
function recordLifecycle(stores: Stores, code: AuditCode): Promise<void> {
  return stores.audit.record(eventOf(code));
}

/** Names that the certificates are good for: the public ones, and this machine's for tasks and tools on it. */
function hostsOf(config: DataPlaneConfig): string[] {
  return [...new Set([...ownHosts(config), ...localHosts])];
}

function incomplete(path: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `The organization's certificates are missing: there is no ${path}.`,
    next: "Restore the state folder from a backup.",
  });
}

/** What a control plane's operator does beside running it. One implementation; `socket.ts` carries it to a live process. */
import type { AuditCode } from "@biplane/audit";
import { minute, parseClusterId, parseOrgId, parseRegionRestriction } from "@biplane/base";
import { type Clock, systemClock } from "@biplane/kit";
import { type AcceptedRestore, type AuditInput, eventOf } from "@biplane/kit/audit-log";
import { z } from "zod";
import { addressesSchema, issueCode } from "../enrollment/codes.ts";
import { createOrganization, pinMetadataRegions } from "../enrollment/organizations.ts";
import { requireMetadataRegion } from "../region.ts";
import type { ControlState } from "../state.ts";

const codeMinutesMax = 7 * 24 * 60;

/** Each operation by name: what it takes, parsed from text; it answers with JSON. */
export const operations = {
  "create-org": z.strictObject({
    org: z.string(),
    /** Where its metadata may be, as `eu-*`; anywhere where there is none. */
    metadataRegions: z.array(z.string().transform(parseRegionRestriction)).max(64).default([]),
  }),
  "enroll-code": z.strictObject({
    org: z.string(),
    cluster: z.string(),
    lifetimeMinutes: z.number().int().min(1).max(codeMinutesMax),
    addresses: addressesSchema,
    /** SHA-256 of the organization's root, hex: as `biplane data init` printed it. */
    root: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
  }),
  "accept-restore": z.strictObject({ org: z.string(), cluster: z.string() }),
  "edge-identity": z.strictObject({ hosts: z.array(z.string().min(1).max(253)).min(1).max(100) }),
} as const;
export type Operation = keyof typeof operations;
export type Parameters<O extends Operation> = z.infer<(typeof operations)[O]>;

export interface Answers {
  "create-org": { readonly org: string };
  "enroll-code": { readonly code: string };
  "accept-restore": AcceptedRestore;
  "edge-identity": {
    readonly certificatePem: string;
    readonly privateKeyPem: string;
    readonly clientAuthorityPem: string;
  };
}

export interface Admin {
  run<O extends Operation>(operation: O, parameters: Parameters<O>): Promise<Answers[O]>;
}

export interface LocalAdminOptions {
  readonly state: ControlState;
  /** As data planes dial it; part of each code. */
  readonly linkAddress: () => string;
  /** For addresses that an operation does not name. */
  readonly addresses: Parameters<"enroll-code">["addresses"];
  readonly clock?: Clock;
}

export function createLocalAdmin(options: LocalAdminOptions): Admin {
  const { state } = options;
  const clock = options.clock ?? systemClock;
  const handlers: { [O in Operation]: (parameters: Parameters<O>) => Promise<Answers[O]> } = {
    "create-org": async (parameters) => {
      const org = parseOrgId(parameters.org);
      requireMetadataRegion(state.region, parameters.metadataRegions);
      await recordErrand("ORGANIZATION_CREATED", org);
      await createOrganization(state.store, org, clock.now());
      await pinMetadataRegions(state.store, org, parameters.metadataRegions);
      return { org };
    },
    "enroll-code": async ({ org, cluster, lifetimeMinutes, addresses, root }) => {
      const parsed = { org: parseOrgId(org), cluster: parseClusterId(cluster) };
      await createOrganization(state.store, parsed.org, clock.now());
      const merged = {
        edge: addresses.edge === "" ? options.addresses.edge : addresses.edge,
        public: { ...options.addresses.public, ...addresses.public },
      };
      await recordErrand("ENROLLMENT_CODE_ISSUED", parsed.org, parsed.cluster);
      const expiresAtMs = clock.now() + lifetimeMinutes * minute;
      const rootHash = root === undefined ? {} : { rootHash: Buffer.from(root, "hex") };
      const code = { ...parsed, expiresAtMs, addresses: merged, ...rootHash };
      return { code: await issueCode(state.store, code, describe()) };
    },
    "accept-restore": async ({ org, cluster }) => {
      const witness = await state.audit.witnessOf(parseOrgId(org), parseClusterId(cluster));
      return witness.acceptRestore();
    },
    "edge-identity": async ({ hosts }) => {
      await state.audit.provider.record(errand("EDGE_IDENTITY_ISSUED"));
      const identity = await state.authority.issueServer("biplane edge", hosts);
      return { ...identity, clientAuthorityPem: state.authority.rootPem };
    },
  };
  const describe = () => ({
    linkAddress: options.linkAddress(),
    rootPem: state.authority.rootPem,
    region: state.region,
  });
  return { run: (operation, parameters) => handlers[operation](parameters) };

  /** The organization reads it in its own log: nobody gets in without that. */
  async function recordErrand(code: AuditCode, org: string, cluster?: string): Promise<void> {
    const log = await state.audit.of(org);
    await log.record({ ...errand(code), ...(cluster === undefined ? {} : { cluster }) });
  }
}

function errand(code: AuditCode): AuditInput {
  return eventOf(code, { decision: "allowed", subject: "operator", method: "biplane control" });
}

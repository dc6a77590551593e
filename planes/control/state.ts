/** Everything that a control plane keeps: its folder with keys and authority, its database, its audit trail. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Closers, readOrCreateKeyFile } from "@biplane/kit";
import { type AuditTrail, openAuditTrail } from "./audit/audit.ts";
import { openProviderAuthority, type ProviderAuthority } from "./enrollment/authority.ts";
import { openStore, type Store } from "./store/open.ts";

export interface StateLocation {
  readonly folder: string;
  readonly databaseUrl: string | undefined;
}

export interface ControlState {
  readonly folder: string;
  readonly store: Store;
  readonly authority: ProviderAuthority;
  readonly audit: AuditTrail;
  close(): Promise<void>;
}

/** Opens the state, and makes what is missing: a first start needs no other step. */
export async function openState({ folder, databaseUrl }: StateLocation): Promise<ControlState> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const closers = new Closers();
  const rootKey = await readOrCreateKeyFile(join(folder, "state.key"));
  const authority = await openProviderAuthority(folder);
  const audit = closers.add(await openAuditTrail(folder, rootKey));
  try {
    const location = { url: databaseUrl, folder: join(folder, "database") };
    const store = closers.add(await openStore(location, rootKey));
    return { folder, store, authority, audit, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

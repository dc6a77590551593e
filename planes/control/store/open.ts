/**
 * The control plane's store: its database and the key of its sealed columns. `asOrg` is the only way to rows, so no
 * query runs without an organization.
 */
import type { controlColumns, SealedPlace } from "@biplane/classification";
import {
  type Database,
  type DatabaseLocation,
  deriveKey,
  type Key,
  openColumn,
  openDatabase,
  sealColumn,
} from "@biplane/kit";
import type { Transaction } from "kysely";
import { fitting, requireFit } from "./fitting.ts";
import { controlMigrations } from "./migrations.ts";
import type { ControlSchema } from "./schema.ts";

export type ControlTransaction = Transaction<ControlSchema>;

/** Where a sealed value belongs: its table, column without `_sealed`, and primary key below the organization. */
export type Place = { readonly org: string; readonly key: readonly string[] } & SealedColumn;

/** As the register says: what is not sealed there can't be sealed here. */
type SealedColumn = {
  [P in SealedPlace<typeof controlColumns> as P[0]]: {
    readonly table: P[0];
    readonly column: P[1] extends `${infer Name}_sealed` ? Name : never;
  };
}[SealedPlace<typeof controlColumns>[0]];

export interface Store {
  readonly kind: Database<ControlSchema>["kind"];
  asOrg<T>(org: string, work: (transaction: ControlTransaction) => Promise<T>): Promise<T>;
  seal(place: Place, text: string): Uint8Array;
  open(place: Place, sealed: Uint8Array): string;
  /** Encrypts the cursors of lists. */
  readonly cursorKey: Key;
  close(): Promise<void>;
}

export async function openStore(location: DatabaseLocation, rootKey: Key): Promise<Store> {
  const database = await openDatabase<ControlSchema>(location, controlMigrations);
  const columnKey = deriveKey(rootKey, "control-plane columns");
  return {
    kind: database.kind,
    asOrg: (org, work) => database.asOrg(org, (transaction) => work(transaction.withPlugin(fitting))),
    seal: (place, text) => {
      requireFit(place.table, `${place.column}_sealed`, text, false);
      return sealColumn(columnKey, columnPlace(place), Buffer.from(text, "utf8"));
    },
    open: (place, sealed) => Buffer.from(openColumn(columnKey, columnPlace(place), sealed)).toString("utf8"),
    cursorKey: deriveKey(rootKey, "control-plane list cursors"),
    close: database.close,
  };
}

function columnPlace(place: Place) {
  const { org, table, column, key } = place;
  return { org, table, column, row: JSON.stringify(key) };
}

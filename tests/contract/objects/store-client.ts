/** What the scenarios ask of an object store's client, whoever made it. Content passes as files, as it does for users. */
import type { StoreReady } from "./store-process.ts";

/** What a client makes of an answer, by its own lights. */
export type Outcome = "ok" | "not_found" | "denied" | "exists" | "not_modified" | "bad_checksum";

export interface Head {
  readonly sizeBytes: number;
  readonly etag: string;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Listing {
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
}

export interface PutOptions {
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly ifAbsent?: boolean;
  readonly checksum?: string;
}

export interface StoreClient {
  readonly name: string;
  /** Scenarios that this version of the client has no words for, each with the reason. */
  readonly lacks: Readonly<Partial<Record<Feature, string>>>;
  readonly checksums: readonly string[];
  put(key: string, file: string, options?: PutOptions): Promise<Outcome>;
  get(key: string, file: string): Promise<Outcome>;
  getRange(key: string, first: number, last: number, file: string): Promise<Outcome>;
  getIfChanged(key: string, etag: string, file: string): Promise<Outcome>;
  head(key: string): Promise<Head | Outcome>;
  /** Everything below, over all pages. */
  list(prefix: string): Promise<Listing | Outcome>;
  listFolder(prefix: string): Promise<Listing>;
  copy(from: string, to: string): Promise<Outcome>;
  remove(keys: readonly string[]): Promise<Outcome>;
  presign(method: "GET" | "PUT", key: string): Promise<string>;
  close(): Promise<void>;
}

export type Feature = "conditional put" | "metadata" | "conditional get" | "checksums" | "presign put";

export type Credentials = StoreReady["credentials"];

export interface ClientPlace {
  readonly ready: StoreReady;
  readonly credentials: Credentials;
}

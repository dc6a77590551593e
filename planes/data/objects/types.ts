import type { Secret } from "@biplane/base";

/** What is known of a stored object without reading it. */
export interface ObjectHead {
  readonly key: string;
  readonly sizeBytes: number;
  /** As S3 gives it, quotes included. */
  readonly etag: string;
  /** SHA-256 of the content, lower-case hex; undefined for multipart objects whose parts were never read together. */
  readonly sha256: string | undefined;
  readonly modifiedAtMs: number;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface PutOptions {
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Refuse with `already_exists` where the key is taken, same bytes or not. */
  readonly ifAbsent?: boolean;
}

export interface ByteRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

export interface ObjectContent {
  readonly head: ObjectHead;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Objects inside the data plane's own process. A key that `isWriteOnceKey` covers takes the same bytes again and
 * refuses others with `already_exists` (rule of state 11). What is acknowledged is on disk.
 */
export interface ObjectStore {
  readonly bucket: string;
  readonly region: string;
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options?: PutOptions): Promise<ObjectHead>;
  get(key: string, range?: ByteRange): Promise<ObjectContent | undefined>;
  /** Whole content; refuses with `resource_exhausted` above the limit. */
  read(key: string, bytesMax: number): Promise<Uint8Array | undefined>;
  head(key: string): Promise<ObjectHead | undefined>;
  /** By key, ascending; `after` is exclusive. */
  list(prefix: string, options: { after?: string; limit: number }): Promise<readonly ObjectHead[]>;
  delete(key: string): Promise<void>;
}

export interface PresignOptions {
  readonly method: "GET" | "PUT";
  readonly key: string;
  readonly lifetimeMs: number;
  /** The subject that asked for the URL: whose use of it the audit log shows. */
  readonly grantedTo?: string;
  /** Headers that the client has to send as they are, e.g. `content-md5`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For GET: how the store answers. Reports are shown; everything else downloads. */
  readonly disposition?: "inline" | "attachment";
}

export interface StoreCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret<string>;
  readonly sessionToken: Secret<string>;
}

/** Grants to the object server, by possession. Never stored, never logged (claim FLOW-3). */
export interface ObjectGrants {
  /** `https://host:port` of the object server as clients dial it. */
  readonly endpoint: string;
  presign(options: PresignOptions): Secret<string>;
  /** Credentials for an attempt: read below some prefixes, write below others, until the lease ends. */
  sessionCredentials(grant: {
    /** Whose they are in the audit log. */
    readonly subject?: string;
    readonly readPrefixes: readonly string[];
    readonly writePrefixes: readonly string[];
    readonly lifetimeMs: number;
  }): StoreCredentials;
}

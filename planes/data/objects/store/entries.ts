/** What the store knows of objects, uploads and the streams on disk that hold their content. */

/** Where a stream lies: in a file of its own, or among others in a pack. Names are random. */
export type Place =
  | { readonly kind: "file"; readonly name: string }
  | { readonly kind: "pack"; readonly pack: string; readonly offset: number };

/** One encrypted stream: an object's whole content, or one part of a multipart object. */
export interface Content {
  readonly place: Place;
  readonly plainBytes: number;
  /** Of the project key that protects it. */
  readonly keyId: string;
  /** Part number; 0 where the content came in one piece. */
  readonly part: number;
}

export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256";

/** A checksum as S3 gives it: base64, with `-N` behind where it is one over the parts' checksums. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
  readonly type: "FULL_OBJECT" | "COMPOSITE";
}

/** What a writer says of an object beside its bytes. */
export interface Description {
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** `cache-control`, `content-encoding` and the like, given back as they came. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ObjectEntry extends Description {
  readonly key: string;
  /** Random; a multipart object has its upload's id. */
  readonly version: string;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly sha256?: string;
  readonly checksum?: Checksum;
  readonly modifiedAtMs: number;
  readonly parts: readonly Content[];
}

export interface UploadedPart {
  readonly content: Content;
  readonly etag: string;
  readonly checksum?: Checksum;
  readonly modifiedAtMs: number;
}

export interface Upload extends Description {
  readonly id: string;
  readonly key: string;
  readonly startedAtMs: number;
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  readonly checksumType?: Checksum["type"];
}

/** A change of the catalog. Each sets a state, so that applying one twice does no harm. */
export type CatalogRecord =
  | { readonly kind: "put"; readonly entry: ObjectEntry; readonly upload?: string }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "upload"; readonly upload: Upload }
  | { readonly kind: "part"; readonly upload: string; readonly part: UploadedPart }
  | { readonly kind: "abort"; readonly upload: string };

/** Binds a stream to what it is part of, so that files swapped on disk do not open. */
export function associatedData(key: string, version: string, part: number): string {
  return JSON.stringify([key, version, part]);
}

/** S3's additional checksums: computed as a body passes, compared with what its sender says. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Checksum, ChecksumAlgorithm } from "../store/entries.ts";
import { type CombinableCrc, combineCrcs, crc32c, crc64nvme, polynomials } from "./crc.ts";
import { S3Error } from "./s3-error.ts";

export interface RunningChecksum {
  update(bytes: Uint8Array): void;
  /** Base64. */
  finish(): string;
}

const makers: Readonly<Record<ChecksumAlgorithm, () => RunningChecksum>> = {
  CRC32: () => running32((bytes, crc) => crc32(bytes, crc)),
  CRC32C: () => running32(crc32c),
  CRC64NVME: () => {
    let crc = 0n;
    return {
      update: (bytes) => {
        crc = crc64nvme(bytes, crc);
      },
      finish: () => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64BE(crc);
        return bytes.toString("base64");
      },
    };
  },
  SHA1: () => runningHash("sha1"),
  SHA256: () => runningHash("sha256"),
};

export const checksumAlgorithms = Object.keys(makers) as readonly ChecksumAlgorithm[];

export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  return makers[algorithm]();
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

export function parseAlgorithm(text: string | undefined): ChecksumAlgorithm | undefined {
  if (text === undefined) return undefined;
  const found = checksumAlgorithms.find((algorithm) => algorithm === text.toUpperCase());
  if (found === undefined) throw new S3Error("InvalidRequest", "The checksum algorithm is not one of S3's.");
  return found;
}

/** The checksum among headers or trailers, if any. */
export function findChecksum(header: (name: string) => string | undefined): Checksum | undefined {
  for (const algorithm of checksumAlgorithms) {
    const value = header(checksumHeader(algorithm));
    if (value !== undefined) return { algorithm, value, type: "FULL_OBJECT" };
  }
  return undefined;
}

/** S3's way for multipart objects: the checksum over the parts' checksums, and their number. */
export function compositeChecksum(algorithm: ChecksumAlgorithm, parts: readonly Checksum[]): Checksum {
  const checksum = startChecksum(algorithm);
  for (const part of parts) checksum.update(Buffer.from(part.value, "base64"));
  return { algorithm, value: `${checksum.finish()}-${parts.length}`, type: "COMPOSITE" };
}

/** The checksum of the whole multipart object, which only the CRCs allow without reading it again. */
export function fullObjectChecksum(
  algorithm: ChecksumAlgorithm,
  parts: readonly { readonly checksum: Checksum; readonly bytes: number }[],
): Checksum {
  if (!isCombinable(algorithm)) throw new S3Error("InvalidRequest", "FULL_OBJECT checksums are CRCs.");
  const pieces = parts.map(({ checksum, bytes }) => ({
    crc: BigInt(`0x${Buffer.from(checksum.value, "base64").toString("hex")}`),
    bytes,
  }));
  const digits = Number(polynomials[algorithm].bits / 4n);
  const hex = combineCrcs(algorithm, pieces).toString(16).padStart(digits, "0");
  return { algorithm, value: Buffer.from(hex, "hex").toString("base64"), type: "FULL_OBJECT" };
}

export function isCombinable(algorithm: ChecksumAlgorithm): algorithm is CombinableCrc {
  return algorithm in polynomials;
}

function running32(step: (bytes: Uint8Array, crc: number) => number): RunningChecksum {
  let crc = 0;
  return {
    update: (bytes) => {
      crc = step(bytes, crc);
    },
    finish: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(crc >>> 0);
      return bytes.toString("base64");
    },
  };
}

function runningHash(name: string): RunningChecksum {
  const hash = createHash(name);
  return { update: (bytes) => void hash.update(bytes), finish: () => hash.digest("base64") };
}

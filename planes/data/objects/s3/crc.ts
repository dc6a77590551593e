/** Cyclic redundancy checks that Node does not have: CRC-32C (Castagnoli) and CRC-64/NVME, both reflected. */

/** Eight tables, so that eight bytes are taken at a time. */
const castagnoli = makeTables(0x82f63b78);

function makeTables(polynomial: number): Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value >>> 0;
  });
  const tables = [first];
  for (let level = 1; level < 8; level += 1) {
    const before = tables[level - 1]!;
    tables.push(before.map((value) => (value >>> 8) ^ first[value & 0xff]!));
  }
  return tables;
}

/** `crc` is the result so far, 0 at the start, as with `zlib.crc32`. */
export function crc32c(bytes: Uint8Array, crc = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = castagnoli as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  let value = ~crc;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    value ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    value =
      t7[value & 0xff]! ^
      t6[(value >>> 8) & 0xff]! ^
      t5[(value >>> 16) & 0xff]! ^
      t4[value >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at += 1) value = (value >>> 8) ^ t0[(value ^ bytes[at]!) & 0xff]!;
  return ~value >>> 0;
}

const nvmePolynomial = 0x9a6c9329ac4bc9b5n;
const nvmeHigh = new Uint32Array(256);
const nvmeLow = new Uint32Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit += 1) value = value & 1n ? (value >> 1n) ^ nvmePolynomial : value >> 1n;
  nvmeHigh[byte] = Number(value >> 32n);
  nvmeLow[byte] = Number(value & 0xffffffffn);
}

/** Computed in two halves: BigInt arithmetic per byte would be a hundred times slower. */
export function crc64nvme(bytes: Uint8Array, crc = 0n): bigint {
  let high = ~Number(crc >> 32n);
  let low = ~Number(crc & 0xffffffffn);
  for (let at = 0; at < bytes.length; at += 1) {
    const index = (low ^ bytes[at]!) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ nvmeLow[index]!;
    high = (high >>> 8) ^ nvmeHigh[index]!;
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
}

/** The polynomials that `crc32`, `crc32c` and `crc64nvme` use, reflected, and their widths in bits. */
export const polynomials = {
  CRC32: { polynomial: 0xedb88320n, bits: 32n },
  CRC32C: { polynomial: 0x82f63b78n, bits: 32n },
  CRC64NVME: { polynomial: nvmePolynomial, bits: 64n },
} as const;

export type CombinableCrc = keyof typeof polynomials;

/**
 * The CRC of pieces put together, from each piece's own: a CRC followed by n zero bytes is the CRC times x^8n, modulo
 * the polynomial. Pieces of one upload mostly have the same length, so that power is computed once for each length.
 */
export function combineCrcs(
  name: CombinableCrc,
  pieces: readonly { readonly crc: bigint; readonly bytes: number }[],
): bigint {
  const powers = new Map<number, bigint>();
  let combined = 0n;
  for (const { crc, bytes } of pieces) {
    const power = powers.get(bytes) ?? powerOfX(name, BigInt(bytes) * 8n);
    powers.set(bytes, power);
    combined = multiply(name, power, combined) ^ crc;
  }
  return combined;
}

/** x to the power of n, by squaring. In the reflected form the highest bit is x^0. */
function powerOfX(name: CombinableCrc, n: bigint): bigint {
  const one = 1n << (polynomials[name].bits - 1n);
  let power = one;
  for (let square = one >> 1n, rest = n; rest > 0n; rest >>= 1n) {
    if (rest & 1n) power = multiply(name, square, power);
    square = multiply(name, square, square);
  }
  return power;
}

function multiply(name: CombinableCrc, left: bigint, right: bigint): bigint {
  const { polynomial, bits } = polynomials[name];
  let product = 0n;
  let shifted = right;
  for (let bit = bits - 1n; bit >= 0n; bit -= 1n) {
    if ((left >> bit) & 1n) product ^= shifted;
    shifted = shifted & 1n ? (shifted >> 1n) ^ polynomial : shifted >> 1n;
  }
  return product;
}

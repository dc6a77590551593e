/** The bytes in a buffer that holds nothing else: many are views, of a shared pool or of something longer. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
}

/** Texts of others within bounds. */
const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** A character that was cut in two is shown as a mark of three bytes, and so is the ellipsis. */
const endBytes = 6;

/** At most that many bytes as UTF-8; what was cut ends in `…`. */
export function cutText(text: string, bytesMax: number): string {
  const bytes = encoder.encode(text);
  return bytes.length <= bytesMax ? text : `${decoder.decode(bytes.subarray(0, bytesMax - endBytes))}…`;
}

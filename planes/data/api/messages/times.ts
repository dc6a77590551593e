/** Milliseconds to protobuf's timestamps and back. */
import { type Duration, type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";

export function timestamp(ms: number): Timestamp;
export function timestamp(ms: number | undefined): Timestamp | undefined;
export function timestamp(ms: number | undefined): Timestamp | undefined {
  return ms === undefined ? undefined : timestampFromMs(Math.round(ms));
}

export function millisecondsOf(value: Timestamp | undefined): number | undefined {
  return value === undefined ? undefined : timestampMs(value);
}

export function durationMs(value: Duration | undefined): number | undefined {
  return value === undefined ? undefined : Number(value.seconds) * 1_000 + value.nanos / 1_000_000;
}

/** Times and sizes in words. */
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";

export function time(timestamp: Timestamp | undefined): string {
  return timestamp === undefined ? "" : timestampDate(timestamp).toISOString();
}

export function age(timestamp: Timestamp | undefined, nowMs = Date.now()): string {
  return timestamp === undefined ? "" : span(nowMs - timestampDate(timestamp).getTime());
}

export function between(start: Timestamp | undefined, end: Timestamp | undefined): string {
  if (start === undefined) return "";
  const endMs = end === undefined ? Date.now() : timestampDate(end).getTime();
  return span(endMs - timestampDate(start).getTime());
}

export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)}s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes}m${Math.floor((ms % 60_000) / 1_000)}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h${minutes % 60}m` : `${Math.floor(hours / 24)}d`;
}

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Schemas for what plain Zod has no word for: files, directories, data frames, durations and bytes. */
import { z } from "zod";
import { DataFrame } from "../values/data-frame.ts";
import { Dir } from "../values/dir.ts";
import { Duration } from "../values/duration.ts";
import { File } from "../values/file.ts";
import { markSchema } from "./marks.ts";

/** One object in the cluster's store, passed by reference. */
export function file() {
  return markSchema(z.instanceof(File), "file");
}

/** All objects below a prefix of the cluster's store, passed by reference. */
export function dir() {
  return markSchema(z.instanceof(Dir), "directory");
}

/** A table in the cluster's store (Parquet), passed by reference. */
export function dataFrame() {
  return markSchema(z.instanceof(DataFrame), "dataFrame");
}

/** A span of time. */
export function duration() {
  return markSchema(z.instanceof(Duration), "duration");
}

/** Raw bytes, passed by value: for a few kilobytes; more belongs into a `file()`. */
export function bytes() {
  return markSchema(z.instanceof(Uint8Array), "bytes");
}

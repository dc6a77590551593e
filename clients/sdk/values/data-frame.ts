/** A table, by reference: one Parquet file, or all Parquet files below a prefix. */
import { Dir } from "./dir.ts";
import { File } from "./file.ts";

export interface Column {
  readonly name: string;
  readonly type: "integer" | "float" | "string" | "boolean" | "datetime" | "duration";
}

export interface DataFrameOptions {
  /** `parquet` by default. */
  readonly format?: string;
  readonly columns?: readonly Column[];
}

export class DataFrame {
  readonly uri: string;
  readonly format: string;
  readonly columns: readonly Column[];

  constructor(uri: string, options: DataFrameOptions = {}) {
    this.uri = uri;
    this.format = options.format ?? "parquet";
    this.columns = options.columns ?? [];
  }

  /** Stores a copy of a local Parquet file. */
  static async upload(path: string, options: DataFrameOptions & { name?: string } = {}): Promise<DataFrame> {
    const file = await File.upload(path, options.name === undefined ? {} : { name: options.name });
    return new DataFrame(file.uri, options);
  }

  /** Whether the table is one file, not a prefix with many. */
  get isSingleFile(): boolean {
    return /\.[a-z0-9]+$/i.test(this.uri);
  }

  /** Copies the table to this machine: resolves to a file's path, or to a folder's for many files. */
  download(path?: string): Promise<string> {
    return this.isSingleFile ? new File(this.uri).download(path) : new Dir(this.uri).download(path);
  }

  stream(): AsyncIterable<Uint8Array> {
    return new File(this.uri).stream();
  }

  toString(): string {
    return this.uri;
  }

  toJSON(): object {
    return { uri: this.uri, format: this.format, hash: null };
  }
}

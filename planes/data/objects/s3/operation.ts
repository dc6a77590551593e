/** What an operation of the object server gets, and what it may say of itself in the table of routes. */
import type { Clock, HttpResponse } from "@biplane/kit";
import type { Catalog } from "../store/catalog.ts";
import type { Objects } from "../store/objects.ts";
import type { Uploads } from "../store/uploads.ts";
import type { Authenticated } from "./authenticate.ts";
import type { S3Request } from "./request.ts";

/** What all operations share. */
export interface StoreContext {
  readonly bucket: string;
  readonly region: string;
  readonly objects: Objects;
  readonly uploads: Uploads;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

export interface OperationContext extends StoreContext {
  readonly request: S3Request;
  readonly response: HttpResponse;
  readonly authenticated: Authenticated;
  /** The object's key; empty for operations of the bucket or the service. */
  readonly key: string;
}

export type Operation = (context: OperationContext) => Promise<void> | void;

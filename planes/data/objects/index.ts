/** The embedded object store: opens it in a folder and gives it to the plane as a store, as grants and as a server. */

import type { Http2SecureServer } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { MiB } from "@biplane/base";
import {
  type Clock,
  type Closeable,
  type Key,
  type Logger,
  type ServerTlsOptions,
  systemClock,
} from "@biplane/kit";
import type { ScopedKeys } from "../keys/types.ts";
import type { StoreAudit, StoreEntrance } from "./s3/audit.ts";
import { Authenticator } from "./s3/authenticate.ts";
import { CredentialStore } from "./s3/credentials.ts";
import { Grants } from "./s3/grants.ts";
import { createS3Server } from "./s3/server.ts";
import { Compaction } from "./store/compaction.ts";
import { Engine } from "./store/engine.ts";
import { EmbeddedObjectStore } from "./store/object-store.ts";
import { Objects } from "./store/objects.ts";
import { Uploads } from "./store/uploads.ts";
import type { ObjectGrants, ObjectStore } from "./types.ts";

export type * from "./s3/audit.ts";
export * from "./types.ts";

export interface ObjectsOptions {
  readonly folder: string;
  /** Protects catalog and credentials. */
  readonly systemKey: Key;
  /** Protect content, one per project: `ProjectKeys`. */
  readonly keys: ScopedKeys;
  readonly log: Logger;
  readonly bucket?: string;
  readonly region?: string;
  readonly clock?: Clock;
  /** Writes are refused where less than this would stay free on the disk. */
  readonly freeBytesMin?: number;
  /** Hears of each request to a server, before it does anything. */
  readonly audit?: StoreAudit;
  /** Changes of the catalog before it is written out as a whole. */
  readonly snapshotEveryMin?: number;
}

export interface EmbeddedObjects extends Closeable {
  readonly store: ObjectStore;
  /** `endpoint`: `https://host:port` as clients dial it. */
  grants(endpoint: string): ObjectGrants;
  /** A TLS server that listens nowhere yet; feed it with `handleConnection`, or let it listen on a unix socket. */
  createServer(tls: ServerTlsOptions, entrance?: StoreEntrance): Http2SecureServer;
}

/** Hands a server a connection that came in elsewhere, still encrypted. */
export function handleConnection(server: Http2SecureServer, connection: Socket | Duplex): void {
  server.emit("connection", connection);
}

export async function openObjects(options: ObjectsOptions): Promise<EmbeddedObjects> {
  const clock = options.clock ?? systemClock;
  const place = { bucket: options.bucket ?? "biplane", region: options.region ?? "us-east-1" };
  const engine = await Engine.open({
    folder: options.folder,
    systemKey: options.systemKey,
    contentKeys: options.keys,
    freeBytesMin: options.freeBytesMin ?? 64 * MiB,
    clock,
    ...(options.snapshotEveryMin === undefined ? {} : { snapshotEveryMin: options.snapshotEveryMin }),
  });
  const objects = new Objects(engine);
  const uploads = new Uploads(engine, objects);
  await uploads.abortAbandoned();
  const compaction = new Compaction(engine);
  compaction.start();
  engine.onWaste = () => compaction.start();
  const credentials = new CredentialStore(options.systemKey, clock);
  const authenticator = new Authenticator(credentials, place.region, clock);
  const context = { ...place, objects, uploads, catalog: engine.catalog, clock };
  return {
    store: new EmbeddedObjectStore(place, engine, objects),
    grants: (endpoint) => new Grants({ ...place, endpoint, credentials, clock }),
    createServer: (tls, entrance = "public") =>
      createS3Server(tls, {
        context,
        authenticator,
        entrance,
        audit: options.audit,
        log: options.log,
      }),
    close: async () => {
      await compaction.close();
      await engine.close();
    },
  };
}

/**
 * The data plane's end of the link: it dials out, stays connected, and starts again from where the control plane is.
 * The rest of the data plane goes on whether it is connected or not.
 */
import { BiplaneError, second } from "@biplane/base";
import type { Welcome } from "@biplane/control-wire";
import {
  backoffMs,
  type Clock,
  type Closeable,
  fromConnectError,
  type Logger,
  renewalMs,
  sleep,
  systemClock,
} from "@biplane/kit";
import type { WitnessPort } from "@biplane/kit/audit-log";
import type { Transport } from "@connectrpc/connect";
import type { ActingPrincipal, TokenIssuer } from "../identity/types.ts";
import type { IntentHandler, Outbox } from "../runs/types.ts";
import { createIndexClient } from "./calls.ts";
import { type LinkDocuments, runConnection } from "./connection.ts";
import { type Enrollment, readEnrollment, writeEnrollment } from "./enrollment.ts";
import type { BorderLedger } from "./ledger.ts";
import { createRecordedTransport } from "./recorded-transport.ts";
import type { LinkRecords } from "./records.ts";
import { renewEnrollment } from "./renewal.ts";
import type { ControlPlane } from "./types.ts";

export interface LinkOptions {
  /** Where `enroll` keeps what it got; a renewed certificate replaces the old one there. */
  readonly enrollmentFolder: string;
  readonly outbox: Outbox;
  readonly intents: IntentHandler;
  readonly tokens: Pick<TokenIssuer, "controlToken">;
  readonly documents: LinkDocuments;
  readonly ledger: BorderLedger;
  readonly records: LinkRecords;
  readonly hello: {
    readonly routerAddress: string;
    readonly region: string;
    readonly softwareVersion: string;
  };
  /** Where the control plane may be; anywhere where there is none. */
  readonly metadataRegions?: readonly string[];
  /** The control plane as witness of the audit log, and the other way round. */
  readonly witness?: WitnessPort;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface Link extends ControlPlane, Closeable {
  /** Resolves at the first welcome, or when the signal aborts. */
  ready(signal?: AbortSignal): Promise<void>;
}

const retry = { firstMs: 200, lastMs: 15 * second };
/** Refusals that time alone does not heal: asked again, for an operator may act, but seldom. */
const stubborn: ReadonlySet<string> = new Set([
  "certificate_unknown",
  "metadata_region",
  "no_cluster_certificate",
  "protocol_version",
  "rolled_back",
  "superseded_incarnation",
  "wrong_cluster",
]);
const stubbornMs = 60 * second;
/** Looked at again at the latest then, for the machine may have slept. */
const timerMsMax = 60 * 60 * second;

/** Throws `failed_precondition` where the cluster was never enrolled. */
export async function startLink(options: LinkOptions): Promise<Link> {
  const enrollment = await readEnrollment(options.enrollmentFolder);
  if (enrollment !== undefined) return new RunningLink(options, enrollment);
  throw new BiplaneError("failed_precondition", {
    what: "This data plane is not enrolled with a control plane.",
    next: "Run biplane data init with a code of biplane control enroll-code.",
  });
}

class RunningLink implements Link {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #running: Promise<unknown>;
  /** Ends the present connection, to go on with a newer certificate. */
  #rotating = new AbortController();
  #enrollment: Enrollment;
  #transport: Transport;
  #connected = false;
  #region: string;

  constructor(options: LinkOptions, enrollment: Enrollment) {
    this.#options = options;
    this.#enrollment = enrollment;
    this.#region = enrollment.controlPlaneRegion;
    this.#transport = transportFor(enrollment, options.ledger);
    this.#running = Promise.all([this.#run(), this.#keepFresh()]);
  }

  get connected(): boolean {
    return this.#connected;
  }

  get region(): string {
    return this.#region;
  }

  index(principal: ActingPrincipal) {
    const { tokens } = this.#options;
    return createIndexClient({ transport: () => this.#transport, tokens }, principal);
  }

  async ready(signal?: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => aborted.resolve(), { once: true });
    if (signal?.aborted) return;
    await Promise.race([this.#ready.promise, aborted.promise]);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#ready.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const error = await this.#connectOnce(() => {
        failures = 0;
      });
      const isRotating = this.#rotating.signal.aborted && !signal.aborted;
      // Not an end of the link: it goes on at once, under the newer certificate.
      if (isRotating) continue;
      if (this.#connected) await this.#recordEnd(error);
      this.#connected = false;
      if (signal.aborted) return;
      const delayMs = this.#delayAfter(error, failures);
      this.#report(error, delayMs);
      failures += 1;
      await sleep(delayMs, signal);
    }
  }

  /** Runs one connection and returns what ended it. */
  async #connectOnce(onWelcome: () => void): Promise<BiplaneError | undefined> {
    const { log } = this.#options;
    this.#rotating = new AbortController();
    try {
      const options = {
        ...this.#options,
        org: this.#enrollment.org,
        cluster: this.#enrollment.cluster,
        transport: this.#transport,
        onWelcome: ({ region }: Welcome) => {
          onWelcome();
          this.#region = region;
          this.#connected = true;
          this.#ready.resolve();
          log.info({ event: "link_connected" }, "connected to the control plane");
        },
      };
      await runConnection(options, AbortSignal.any([this.#closing.signal, this.#rotating.signal]));
      return undefined;
    } catch (error) {
      return fromConnectError(error);
    }
  }

  /** No connection lives longer than its certificate: each new one takes over well before the old one's end. */
  async #keepFresh(): Promise<void> {
    const { signal } = this.#closing;
    const clock = this.#options.clock ?? systemClock;
    for (let failures = 0; !signal.aborted; ) {
      const dueInMs = renewalMs(this.#enrollment.identity.certificatePem) - clock.now();
      if (dueInMs > 0) {
        await sleep(Math.min(dueInMs, timerMsMax), signal);
        continue;
      }
      if (await this.#renew()) failures = 0;
      else await sleep(backoffMs(failures++, retry), signal);
    }
  }

  /** A control plane that can't renew now may still take events: the old certificate is good for a while. */
  async #renew(): Promise<boolean> {
    const { enrollmentFolder, ledger, log } = this.#options;
    try {
      const renewed = await renewEnrollment(this.#enrollment, this.#transport);
      await writeEnrollment(enrollmentFolder, renewed);
      this.#enrollment = renewed;
      this.#transport = transportFor(renewed, ledger);
      this.#rotating.abort();
      log.info({ event: "certificate_renewed" }, "certificate renewed");
      return true;
    } catch (error) {
      log.warn({ event: "renewal_failed", error }, "the certificate could not be renewed");
      return false;
    }
  }

  /** An audit log that takes nothing ends what is asked of this plane; it need not end its link as well. */
  async #recordEnd(error: BiplaneError | undefined): Promise<void> {
    const { records, log } = this.#options;
    try {
      await records.disconnected(error?.reason ?? error?.code ?? "ended");
    } catch (failure) {
      log.error({ event: "audit_failed", error: failure }, "the end of the link could not be recorded");
    }
  }

  #delayAfter(error: BiplaneError | undefined, failures: number): number {
    return stubborn.has(error?.reason ?? "") ? stubbornMs : backoffMs(failures, retry);
  }

  #report(error: BiplaneError | undefined, delayMs: number): void {
    const fields = { event: "link_down", code: error?.code ?? "ended", reason: error?.reason ?? "", delayMs };
    const level = stubborn.has(fields.reason) ? "error" : "warn";
    this.#options.log[level](fields, "not connected to the control plane");
  }
}

function transportFor(
  { linkAddress, providerRootPem, identity }: Enrollment,
  ledger: BorderLedger,
): Transport {
  return createRecordedTransport(
    `https://${linkAddress}`,
    { authorityPem: providerRootPem, identity },
    ledger,
  );
}

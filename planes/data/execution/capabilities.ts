/** What opens router and store for one attempt: minted when it starts, renewed while it runs, revoked when it ends. */
import { hour, limits, type Secret } from "@biplane/base";
import { type TokenIssuer, taskSubject } from "../identity/types.ts";
import type { ObjectGrants, StoreCredentials } from "../objects/types.ts";
import type { Lease } from "../runs/types.ts";
import type { StoreGrant } from "./grants.ts";

/** Both live at least twice as long, so that one missed renewal does no harm. */
const renewalsPerToken = 2;
const credentialsMs = hour;
/** Programs that read credentials from their environment can't renew them. */
const fixedCredentialsMs = 7 * 24 * hour;

export interface Capabilities {
  readonly token: Secret<string>;
  readonly credentials: StoreCredentials;
}

export interface CapabilitySources {
  readonly tokens: Pick<TokenIssuer, "taskToken" | "revokeAttempt" | "taskTokenMs">;
  readonly grants: Pick<ObjectGrants, "sessionCredentials">;
}

export class AttemptCapabilities {
  readonly #sources: CapabilitySources;
  readonly #lease: Lease;
  readonly #grant: StoreGrant;
  #timer: NodeJS.Timeout | undefined;

  constructor(sources: CapabilitySources, lease: Lease, grant: StoreGrant) {
    this.#sources = sources;
    this.#lease = lease;
    this.#grant = grant;
  }

  async mint(): Promise<Capabilities> {
    const token = await this.#sources.tokens.taskToken(this.#lease, this.#lease.runRecord.createdBy);
    return { token, credentials: this.#credentials(credentialsMs) };
  }

  fixedCredentials(timeoutMs: number | undefined): StoreCredentials {
    return this.#credentials(timeoutMs === undefined ? fixedCredentialsMs : timeoutMs + limits.taskTokenMs);
  }

  /** Hands over new ones until `end`. */
  renew(deliver: (renewed: Capabilities) => void, failed: (error: unknown) => void): void {
    const renewalMs = this.#sources.tokens.taskTokenMs / renewalsPerToken;
    this.#timer = setInterval(() => void this.mint().then(deliver, failed), renewalMs).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#sources.tokens.revokeAttempt(this.#lease);
  }

  #credentials(lifetimeMs: number): StoreCredentials {
    const subject = taskSubject(this.#lease);
    return this.#sources.grants.sessionCredentials({ ...this.#grant, subject, lifetimeMs });
  }
}

/**
 * Keys in AWS KMS. Each of ours is an alias (`alias/PREFIX/KEY`) that points to the KMS key of its newest version; a
 * version is that KMS key's id. Credentials come from AWS's default chain, never from Biplane's configuration.
 */
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import { keyDisabled, noSuchKey, requireKeyName, unreadableKey } from "./refusals.ts";
import {
  defaultKey,
  type KeyProvider,
  type KeyRegion,
  type KeyState,
  type KeyVersion,
  type WrappedKey,
} from "./types.ts";

export interface AwsKmsOptions {
  readonly region: string;
  /** Another endpoint than AWS's own, e.g. a private one. */
  readonly endpoint?: string | undefined;
  /** Authorities to believe there, PEM; the system's by default. */
  readonly authorityPem?: string | undefined;
  /** Aliases are `alias/PREFIX/KEY`. */
  readonly aliasPrefix: string;
}

const requestMsMax = 1_000;
const attemptsMax = 2;
/** The shortest that AWS allows; the key is unusable from the request on. */
const deletionDays = 7;

export class AwsKmsProvider implements KeyProvider {
  readonly kind = "aws-kms";
  readonly #client: KMSClient;
  readonly #aliasPrefix: string;

  constructor({ region, endpoint, authorityPem, aliasPrefix }: AwsKmsOptions) {
    this.#aliasPrefix = aliasPrefix;
    this.#client = new KMSClient({
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      maxAttempts: attemptsMax,
      requestHandler: {
        requestTimeout: requestMsMax,
        connectionTimeout: requestMsMax,
        httpsAgent: { keepAlive: true, ...(authorityPem === undefined ? {} : { ca: authorityPem }) },
      },
    });
  }

  async currentVersion(key: string): Promise<KeyVersion> {
    const version = await this.#current(key);
    if (version === undefined) throw keyDisabled({ key, version: "current" }, "KMS.NotFoundException");
    return version;
  }

  async create(key: string): Promise<KeyVersion> {
    const current = await this.#current(key);
    if (current !== undefined) return current;
    const version = { key, version: await this.#createKey(key) };
    const create = new CreateAliasCommand({ AliasName: this.#alias(key), TargetKeyId: version.version });
    const created = await this.#ask(version, () => this.#client.send(create), "AlreadyExistsException");
    // Another plane of the organization was quicker: its key counts.
    return created === undefined ? this.currentVersion(key) : version;
  }

  async wrap(version: KeyVersion, content: Uint8Array, place: string): Promise<WrappedKey> {
    const command = new EncryptCommand({
      KeyId: version.version,
      Plaintext: content,
      EncryptionContext: { place },
    });
    const answer = await this.#use(version, () => this.#client.send(command));
    return { ...version, wrapped: answer.CiphertextBlob! };
  }

  async unwrap(wrapped: WrappedKey, place: string): Promise<Uint8Array> {
    const command = new DecryptCommand({
      KeyId: wrapped.version,
      CiphertextBlob: wrapped.wrapped,
      EncryptionContext: { place },
    });
    return (await this.#use(wrapped, () => this.#client.send(command))).Plaintext!;
  }

  async stateOf(version: KeyVersion): Promise<KeyState> {
    const command = new DescribeKeyCommand({ KeyId: version.version });
    const answer = await this.#ask(version, () => this.#client.send(command));
    const state = answer?.KeyMetadata?.KeyState;
    if (state === "Enabled") return "enabled";
    return state === undefined || state === "PendingDeletion" ? "destroyed" : "disabled";
  }

  async rotate(key: string): Promise<KeyVersion> {
    await this.currentVersion(key);
    const version = await this.#createKey(key);
    const update = new UpdateAliasCommand({ AliasName: this.#alias(key), TargetKeyId: version });
    await this.#require({ key, version }, () => this.#client.send(update));
    return { key, version };
  }

  async disable(version: KeyVersion): Promise<void> {
    const command = new DisableKeyCommand({ KeyId: version.version });
    await this.#require(version, () => this.#client.send(command));
  }

  async enable(version: KeyVersion): Promise<void> {
    const command = new EnableKeyCommand({ KeyId: version.version });
    await this.#require(version, () => this.#client.send(command));
  }

  async destroy(version: KeyVersion): Promise<void> {
    const command = new ScheduleKeyDeletionCommand({
      KeyId: version.version,
      PendingWindowInDays: deletionDays,
    });
    await this.#require(version, () => this.#client.send(command));
  }

  /** The keys' own word, by their ARN; before there are any, that of the endpoint which would make them. */
  async region(): Promise<KeyRegion> {
    const describe = new DescribeKeyCommand({ KeyId: this.#alias(defaultKey) });
    const found = await this.#client.send(describe).catch(() => undefined);
    const region = found?.KeyMetadata?.Arn?.split(":")[3];
    if (region !== undefined) return { region, source: "asked" };
    return { region: await this.#client.config.region(), source: "declared" };
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  async #current(key: string): Promise<KeyVersion | undefined> {
    const describe = new DescribeKeyCommand({ KeyId: this.#alias(key) });
    const found = await this.#ask({ key, version: "current" }, () => this.#client.send(describe));
    return found === undefined ? undefined : { key, version: found.KeyMetadata!.KeyId! };
  }

  async #createKey(key: string): Promise<string> {
    const command = new CreateKeyCommand({
      Description: `Biplane customer key ${key}`,
      Tags: [{ TagKey: "biplane-key", TagValue: key }],
    });
    const created = await this.#require({ key, version: "new" }, () => this.#client.send(command));
    return created.KeyMetadata!.KeyId!;
  }

  #alias(key: string): string {
    return `alias/${this.#aliasPrefix}/${requireKeyName(key)}`;
  }

  /** A key that is gone for good refuses like a disabled one. */
  async #use<T>(version: KeyVersion, request: () => Promise<T>): Promise<T> {
    const answer = await this.#ask(version, request);
    if (answer === undefined) throw keyDisabled(version, "KMS.NotFoundException");
    return answer;
  }

  async #require<T>(version: KeyVersion, request: () => Promise<T>): Promise<T> {
    const answer = await this.#ask(version, request);
    if (answer === undefined) throw noSuchKey(version);
    return answer;
  }

  /** Undefined where the answer is the expected error: by default that there is no such key. */
  async #ask<T>(
    version: KeyVersion,
    request: () => Promise<T>,
    expected = "NotFoundException",
  ): Promise<T | undefined> {
    try {
      return await request();
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      if (name === expected) return undefined;
      if (name === "InvalidCiphertextException" || name === "IncorrectKeyException")
        throw unreadableKey(error);
      // Everything else withholds the key: disabled, pending deletion, no grant, no network.
      throw keyDisabled(version, `KMS.${name || "Unreachable"}`, error);
    }
  }
}

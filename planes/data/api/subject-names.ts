/** Turns subjects into the identities that clients show: names come from the directory, and stay in the data plane. */
import { flyte } from "@biplane/data-wire";
import { create } from "@bufbuild/protobuf";
import type { SubjectProfile } from "../identity/subject.ts";

const knownMax = 10_000;

export interface SubjectDirectory {
  find(subject: string): Promise<{ kind: "user" | "service"; profile: SubjectProfile } | undefined>;
}

export type NameOf = (subject: string) => flyte.common.EnrichedIdentity;

export class SubjectNames {
  readonly #directory: SubjectDirectory;
  readonly #known = new Map<string, flyte.common.EnrichedIdentity>();

  constructor(directory: SubjectDirectory) {
    this.#directory = directory;
  }

  /** A function for as many subjects as a message needs. */
  async load(subjects: Iterable<string>): Promise<NameOf> {
    for (const subject of new Set(subjects)) {
      if (!this.#known.has(subject)) this.#remember(subject, await this.#look(subject));
    }
    return (subject) => this.#known.get(subject) ?? application(subject, subject);
  }

  /** Their name has changed, or they are gone. */
  forget(subject: string): void {
    this.#known.delete(subject);
  }

  #remember(subject: string, identity: flyte.common.EnrichedIdentity): void {
    if (this.#known.size >= knownMax) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(subject, identity);
  }

  async #look(subject: string): Promise<flyte.common.EnrichedIdentity> {
    const found = await this.#directory.find(subject);
    if (found?.kind !== "user") return application(subject, found?.profile.name ?? subject);
    const { name, email } = found.profile;
    const [firstName = "", ...rest] = name.split(" ");
    return create(flyte.common.EnrichedIdentitySchema, {
      principal: {
        case: "user",
        value: {
          id: { subject },
          spec: { firstName, lastName: rest.join(" "), email: email ?? "", userHandle: email ?? subject },
        },
      },
    });
  }
}

function application(subject: string, name: string): flyte.common.EnrichedIdentity {
  return create(flyte.common.EnrichedIdentitySchema, {
    principal: { case: "application", value: { id: { subject }, spec: { name } } },
  });
}

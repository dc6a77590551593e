/** A person or a program as identity knows them. */
import type { Credential } from "./passwords.ts";

export interface SubjectProfile {
  readonly name: string;
  readonly email?: string;
  /** As the customer's own provider said at the last sign-in. */
  readonly groups?: readonly string[];
}

export interface Subject {
  readonly subject: string;
  readonly kind: "user" | "service";
  readonly profile: SubjectProfile;
  readonly credential: Credential;
  readonly createdAtMs: number;
  readonly disabledAtMs?: number | undefined;
  readonly expiresAtMs?: number | undefined;
  readonly lastUsedAtMs?: number | undefined;
  readonly owner?: string | undefined;
  readonly isFederated: boolean;
}

export type NewSubject = Omit<Subject, "isFederated"> & { readonly federatedHash?: string };

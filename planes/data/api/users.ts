/** People, programs' credentials, sign-ins and signing keys, for administrators. */
import { BiplaneError, limits } from "@biplane/base";
import { identity } from "@biplane/data-wire";
import { requireAllowed } from "@biplane/identity";
import { decide } from "@biplane/identity/decide";
import type { HandlerContext } from "@connectrpc/connect";
import type { ApiKeys } from "../identity/api-keys.ts";
import type { Directory } from "../identity/directory.ts";
import type { Invitation, People } from "../identity/people.ts";
import type { SignIns } from "../identity/sign-ins.ts";
import { keyUses, type SigningKeys } from "../identity/signing-keys.ts";
import type { Subject } from "../identity/subject.ts";
import type { PolicyAdministration } from "../policy/administration.ts";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { millisecondsOf, timestamp } from "./messages/times.ts";
import type { ApiParts } from "./parts.ts";

export interface IdentityAdministration {
  readonly directory: Pick<Directory, "find" | "findActive">;
  readonly rules: PolicyAdministration;
  readonly people: People;
  readonly apiKeys: ApiKeys;
  readonly signIns: SignIns;
  readonly keys: SigningKeys;
}

/** Names are short; ten thousand characters are somebody's test of us. */
const requestBytesMax = 16 * 1_024;

export function userService(parts: ApiParts) {
  const { authority, subjects } = parts;
  const people = () => parts.administration.people;
  const by = (context: HandlerContext) => authorizedCall(context).principal.subject;
  return serve(
    identity.UserService,
    {
      createUser: async ({ email, name, role }, context) => {
        requireMayAssign(parts, context, role);
        const { user, invitation } = await people().create({ email, name, role });
        return { user: userMessage(user), invitation: invitationMessage(invitation, authority()) };
      },
      getUser: async ({ user }) => ({ user: userMessage(await people().get(user)) }),
      listUsers: async (request) => {
        const page = await pageOf(request, (after, limit) => people().page(after, limit));
        return { users: page.items.map(userMessage), token: page.token };
      },
      inviteUser: async ({ user }) => ({
        invitation: invitationMessage(await people().invite(user), authority()),
      }),
      disableUser: async ({ user }, context) => {
        await people().setDisabled(user, true, by(context));
        return {};
      },
      enableUser: async ({ user }, context) => {
        await people().setDisabled(user, false, by(context));
        return {};
      },
      deleteUser: async ({ user }, context) => {
        const { subject } = await people().get(user);
        await people().remove(user, by(context));
        subjects.forget(subject);
        return {};
      },
      revokeUser: async ({ user }) => {
        await people().revoke(user);
        return {};
      },
      ...sessionMethods(parts),
    },
    requestBytesMax,
  );
}

/** Who may add people could else make themselves an administrator, by adding one. */
function requireMayAssign({ policy }: ApiParts, context: HandlerContext, role: string): void {
  if (role === "") return;
  const { principal, org } = authorizedCall(context);
  requireAllowed(decide(principal, "policy.write", { org }, policy.bundle));
}

function sessionMethods(parts: ApiParts) {
  const subjectOf = async (user: string) => (await parts.administration.people.get(user)).subject;
  return {
    listSessions: async ({ user }: identity.ListSessionsRequest) => {
      const sessions = await parts.administration.signIns.list(await subjectOf(user));
      return {
        sessions: sessions.map(({ session, client, beganAtMs, expiresAtMs }) => ({
          session,
          client,
          beganAt: timestamp(beganAtMs),
          expiresAt: timestamp(expiresAtMs),
        })),
      };
    },
    revokeSession: async ({ user, session }: identity.RevokeSessionRequest) => {
      if (await parts.administration.signIns.end(await subjectOf(user), session)) return {};
      throw new BiplaneError("not_found", {
        what: "There is no such session.",
        why: "It has ended, or was never this person's.",
        next: "List them: biplane get session USER",
      });
    },
  };
}

export function apiKeyService(parts: ApiParts) {
  const apiKeys = () => parts.administration.apiKeys;
  return serve(
    identity.ApiKeyService,
    {
      createApiKey: async ({ name, owner, expiresAt, role, project, domain }, context) => {
        const { subject } = authorizedCall(context).principal;
        requireMayAssign(parts, context, role);
        const wanted = { name, role, project, domain, expiresAtMs: millisecondsOf(expiresAt) };
        const answers = owner === "" ? subject : (await parts.administration.people.get(owner)).subject;
        const { key, secret } = await apiKeys().create({ ...wanted, owner: answers });
        return { key: keyMessage(key), secret: secret.reveal() };
      },
      getApiKey: async ({ id }) => ({ key: keyMessage(await apiKeys().get(id)) }),
      listApiKeys: async (request) => {
        const page = await pageOf(request, (after, limit) => apiKeys().page(after, limit));
        return { keys: page.items.map(keyMessage), token: page.token };
      },
      deleteApiKey: async ({ id }) => {
        await apiKeys().remove(id);
        parts.subjects.forget(id);
        return {};
      },
    },
    requestBytesMax,
  );
}

export function authorityService(parts: ApiParts) {
  const keys = () => parts.administration.keys;
  const list = () =>
    keyUses.flatMap((use) =>
      keys()
        .verifying(use)
        .map(({ kid, createdAtMs, verifiesUntilMs }, position) => ({
          kid,
          use,
          signs: position === 0,
          createdAt: timestamp(createdAtMs),
          ...(verifiesUntilMs === undefined ? {} : { verifiesUntil: timestamp(verifiesUntilMs) }),
        })),
    );
  return serve(
    identity.AuthorityService,
    {
      listSigningKeys: () => ({ keys: list() }),
      rotateSigningKeys: async () => {
        await keys().rotate();
        return { keys: list() };
      },
    },
    requestBytesMax,
  );
}

async function pageOf(
  { limit, token }: { limit: number; token: string },
  read: (after: string, limit: number) => Promise<readonly Subject[]>,
): Promise<{ items: readonly Subject[]; token: string }> {
  const size = Math.min(limit === 0 ? limits.listLimitDefault : limit, limits.listLimitMax);
  const items = await read(token, size);
  return { items, token: items.length < size ? "" : (items.at(-1)?.subject ?? "") };
}

function userMessage(user: Subject) {
  const { subject, profile, isFederated, createdAtMs } = user;
  return {
    subject,
    email: profile.email ?? "",
    name: profile.name,
    groups: [...(profile.groups ?? [])],
    state: stateOf(user),
    federated: isFederated,
    createdAt: timestamp(createdAtMs),
  };
}

function stateOf({ disabledAtMs, credential, isFederated }: Subject): identity.UserState {
  if (disabledAtMs !== undefined) return identity.UserState.DISABLED;
  return credential.scheme === "none" && !isFederated
    ? identity.UserState.INVITED
    : identity.UserState.ACTIVE;
}

function keyMessage({ subject, profile, owner, createdAtMs, expiresAtMs, lastUsedAtMs }: Subject) {
  return {
    id: subject,
    name: profile.name,
    owner: owner ?? "",
    createdAt: timestamp(createdAtMs),
    ...(expiresAtMs === undefined ? {} : { expiresAt: timestamp(expiresAtMs) }),
    ...(lastUsedAtMs === undefined ? {} : { lastUsedAt: timestamp(lastUsedAtMs) }),
  };
}

function invitationMessage({ code, expiresAtMs }: Invitation, authority: string) {
  return { code: code.reveal(), address: `${authority}/invitation`, expiresAt: timestamp(expiresAtMs) };
}

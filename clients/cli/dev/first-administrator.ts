/** Turns the one-time claim of a new data plane into credentials. */
import { BiplaneError, Secret } from "@biplane/base";
import { type Connection, KnownServers, openConnection, PinnedHttp, type Profile } from "@biplane/sdk/remote";
import { z } from "zod";
import { ensureProject } from "../commands/create.ts";
import type { LocalSystem } from "./local-system.ts";

const answerSchema = z.object({
  client: z.object({ client_id: z.string(), client_secret: z.string() }).optional(),
  user: z.object({ subject: z.string() }).optional(),
});

export interface NewUser {
  readonly email: string;
  readonly name: string;
  readonly password: string;
}

export interface MachineCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** Of a system that has a claim: uses it up, and makes a project to work in. */
export async function makeAdministrator(
  { profile, profilePath, claim }: Pick<LocalSystem, "profile" | "profilePath" | "claim">,
  project: string,
): Promise<{ connection: Connection; credentials: MachineCredentials }> {
  const credentials = claim === undefined ? undefined : await redeemClaim(profile, claim);
  if (credentials === undefined) throw new BiplaneError("internal", "There is no claim to begin with.");
  const connection = await openConnection({
    profile: profilePath,
    project,
    clientId: credentials.clientId,
    clientSecret: new Secret(credentials.clientSecret),
  });
  await ensureProject(connection, project);
  return { connection, credentials };
}

export async function redeemClaim(
  profile: Profile,
  claim: string,
  options: { user?: NewUser } = {},
): Promise<MachineCredentials | undefined> {
  const http = new PinnedHttp(new KnownServers(profile));
  try {
    const who = options.user === undefined ? { client: { name: "bootstrap" } } : { user: options.user };
    const response = await http.send(`${profile.authority}/claim`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: Buffer.from(JSON.stringify({ claim, ...who })),
    });
    const text = await http.text(response);
    if (response.status !== 200) throw refused(text);
    const { client } = answerSchema.parse(JSON.parse(text));
    return client === undefined
      ? undefined
      : { clientId: client.client_id, clientSecret: client.client_secret };
  } finally {
    http.close();
  }
}

function refused(text: string): BiplaneError {
  const message = z.object({ message: z.string() }).safeParse(safeJson(text));
  return new BiplaneError("permission_denied", {
    what: "The claim was refused.",
    why: message.success ? message.data.message : text.slice(0, 300),
    next: "A claim is good once; `biplane data init` prints it for a new organization.",
  });
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

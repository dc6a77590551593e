/** Programs of verify's own at an installation, signed in: with a role somewhere, for as long as they are needed. */
import { randomBytes } from "node:crypto";
import { Secret } from "@biplane/base";
import type { Connection } from "@biplane/sdk/remote";
import { clientCredentials } from "@biplane/sdk/remote/tokens";

export interface Program {
  readonly id: string;
  readonly secret: Secret<string>;
  readonly token: string;
}

export interface ProgramScope {
  readonly project?: string | undefined;
  readonly domain?: string | undefined;
}

/** `scope`: all of the organization where nothing is said. */
export async function makeProgram(
  { apiKeys, profile, http }: Pick<Connection, "apiKeys" | "profile" | "http">,
  role: string,
  { project = "", domain = "" }: ProgramScope = {},
): Promise<Program> {
  const name = `verify ${randomBytes(4).toString("hex")}`;
  const made = await apiKeys.createApiKey({ name, role, project, domain });
  const id = made.key?.id ?? "";
  const secret = new Secret(made.secret);
  return { id, secret, token: await clientCredentials(profile, http, id, secret).token(false) };
}

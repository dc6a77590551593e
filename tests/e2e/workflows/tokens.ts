/** Tasks that look at their own tokens while they run: how long one works, and for what. */
import { task, z } from "@biplane/sdk";
import { openSession, send, stealToken } from "../../../examples/hostile/router.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const call = z.object({ method: z.string(), body: z.string() });
type Session = ReturnType<typeof openSession>;

/** `ok`, or the refusal's code. */
function outcomeOf(session: Session, token: string, { method, body }: z.infer<typeof call>): Promise<string> {
  return send(session, token, method, body).then(
    () => "ok",
    (error: { code?: string }) => String(error.code ?? error),
  );
}

export const next = task(
  { name: "next", input: z.object({ n: z.number() }), output: z.number() },
  async ({ n }) => n + 1,
);

/** Works until its first token is of no use any more, and for `lastMs` at least. */
export const outlive = task(
  {
    name: "outlive",
    input: z.object({ lastMs: z.number(), giveUpMs: z.number(), call }),
    output: z.object({
      lastedMs: z.number(),
      subActions: z.number(),
      tokens: z.number(),
      told: z.array(z.string()),
      toldFirst: z.string(),
    }),
  },
  async ({ lastMs, giveUpMs, call }) => {
    const session = openSession();
    const began = Date.now();
    const first = await stealToken(session);
    const [tokens, told] = [new Set([first]), new Set<string>()];
    let [subActions, toldFirst, lastedMs] = [0, "ok", 0];
    while (lastedMs < lastMs || (toldFirst === "ok" && lastedMs < giveUpMs)) {
      subActions = await next({ n: subActions });
      const token = await stealToken(session);
      tokens.add(token);
      told.add(await outcomeOf(session, token, call));
      toldFirst = await outcomeOf(session, first, call);
      await pause(200);
      lastedMs = Date.now() - began;
    }
    session.close();
    return { lastedMs, subActions, tokens: tokens.size, told: [...told], toldFirst };
  },
);

/** Works until a call in its submitter's name is refused, and then does one more sub-action. */
export const untilRefused = task(
  {
    name: "until-refused",
    input: z.object({ giveUpMs: z.number(), call }),
    output: z.object({ told: z.array(z.string()), afterwards: z.number() }),
  },
  async ({ giveUpMs, call }) => {
    const session = openSession();
    const told: string[] = [];
    const began = Date.now();
    while ((told.at(-1) ?? "ok") === "ok" && Date.now() - began < giveUpMs) {
      await next({ n: told.length });
      told.push(await outcomeOf(session, await stealToken(session), call));
      await pause(100);
    }
    const afterwards = await next({ n: 41 });
    session.close();
    return { told, afterwards };
  },
);

/** What an attempt to get out looks like, and how its end is told. */
import { z } from "@biplane/sdk";

export const attemptSchema = z.object({
  /** What was tried, e.g. `network`. */
  kind: z.string(),
  target: z.string(),
  refused: z.boolean(),
  /** The refusal's code, or the beginning of what was got. */
  detail: z.string(),
});

export type Attempt = z.infer<typeof attemptSchema>;

/** Runs what should be impossible: whatever it returns was not refused. */
export async function attempt(
  kind: string,
  target: string,
  work: () => unknown | Promise<unknown>,
): Promise<Attempt> {
  try {
    const got = await work();
    return { kind, target, refused: false, detail: String(got).slice(0, 80) };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    return { kind, target, refused: true, detail: String(code ?? message).slice(0, 200) };
  }
}

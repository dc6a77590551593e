/** Answers with a text of a chosen length, so that inputs and outputs together have a chosen size. */
import { task, z } from "@biplane/sdk";

export const answer = task(
  { name: "answer", input: z.object({ text: z.string(), characters: z.int() }), output: z.string() },
  async ({ characters }) => "y".repeat(characters),
);

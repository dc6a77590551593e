/** FLOW-4: inputs and outputs as values, up to bounds that are what they are said to be. */
import { limits, MiB } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { inspectModule } from "@biplane/sdk/remote";
import type { ObjectField } from "@biplane/sdk/types/value-type";
import { encodeInputs, encodeOutputs } from "@biplane/sdk/values/inputs-outputs";
import { toBinary } from "@bufbuild/protobuf";
import type { Claim } from "../frame/claim.ts";
import { ClaimFailed, type Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { workflowFile } from "../machine/sources.ts";

export const flow4: Claim = {
  id: "FLOW-4",
  text: "Structured inputs and outputs are served by the data plane; up to 10 MiB of inputs per run, up to 20 MiB of inputs and outputs per read; more is a clear error.",
  from: "client",

  async prove(subject, seen) {
    const { inputBytesMax, readBytesMax } = limits;
    for (const bytes of [0, 1, inputBytesMax]) {
      seen.none(`inputs of ${inWords(bytes)} sent`, await sending(subject, bytes, inputBytesMax));
    }
    seen.none(
      `inputs of ${inWords(inputBytesMax + 1)} sent`,
      await sending(subject, inputBytesMax + 1, inputBytesMax),
    );
    for (const together of [readBytesMax, readBytesMax + 1]) {
      seen.none(
        `inputs and outputs of ${inWords(together)} together read`,
        await reading(subject, seen, together),
      );
    }
  },

  async control(subject, seen) {
    const smaller = limits.inputBytesMax / 2;
    const found = await sending(subject, smaller + 1, smaller);
    return seen.caught(
      `a bound of ${inWords(smaller)} looked for where it is ${inWords(limits.inputBytesMax)}`,
      found,
      /was taken/,
    );
  },
};

/** What is wrong with how inputs of so many bytes are received, where this is the bound. */
async function sending(subject: Subject, bytes: number, bytesMax: number): Promise<string[]> {
  const { connection } = subject;
  const { profile, domain, data } = connection;
  const projectId = { organization: profile.org, name: connection.project ?? "", domain };
  const spec = await subject.scene(answerSpec);
  try {
    await data.uploadInputs({
      id: { case: "projectId", value: projectId },
      task: { case: "taskSpec", value: spec },
      inputs: inputsOf(bytes),
    });
    return bytes <= bytesMax ? [] : [`it was taken, although the bound is ${inWords(bytesMax)}`];
  } catch (error) {
    const { message } = error as Error;
    if (bytes <= bytesMax) return [`it was refused: ${message}`];
    return message.includes(String(bytes)) ? [] : [`the refusal does not say the size: ${message}`];
  }
}

async function answerSpec(): Promise<flyte.task.TaskSpec> {
  const { tasks } = await inspectModule(workflowFile("sizes.ts"));
  const [task] = tasks;
  if (task === undefined) throw new ClaimFailed("verify's own workflow has no task.");
  return task.spec;
}

/** Inputs of exactly so many bytes with their envelope; of none where there is no room for an envelope. */
function inputsOf(bytes: number): flyte.task.Inputs {
  if (bytes === 0) return encodeInputs([], {});
  const field = { name: "text", type: { kind: "string" } } as ObjectField;
  const make = (characters: number) => encodeInputs([field], { text: "x".repeat(characters) });
  return make(
    charactersFor(bytes, (characters) => toBinary(flyte.task.InputsSchema, make(characters)).length),
  );
}

/** How long the text has to be for the message to have this size; an envelope alone may be larger. */
function charactersFor(bytes: number, size: (characters: number) => number): number {
  let characters = Math.max(0, bytes - size(0));
  while (characters > 0 && size(characters) > bytes) characters -= 1;
  return characters;
}

/** A run whose inputs fill their bound, and whose outputs make up the rest. */
async function reading(subject: Subject, seen: Observations, together: number): Promise<string[]> {
  const { client, connection } = subject;
  const inputBytes = limits.inputBytesMax;
  const characters = charactersFor(
    together - inputBytes,
    (count) => encodeOutputs({ kind: "string" }, "y".repeat(count)).length,
  );
  const fields = [
    { name: "text", type: { kind: "string" } },
    { name: "characters", type: { kind: "integer" } },
  ] as ObjectField[];
  const sizeOf = (count: number) =>
    toBinary(flyte.task.InputsSchema, encodeInputs(fields, { text: "x".repeat(count), characters })).length;
  const text = "x".repeat(charactersFor(inputBytes, sizeOf));
  const run = await client.run({ file: workflowFile("sizes.ts"), task: "answer" }, { text, characters });
  const { succeeded, error } = await run.wait();
  if (!succeeded) return judgeRefusal(seen, together, error ?? "");
  const bytes = sizeOf(text.length) + encodeOutputs({ kind: "string" }, "y".repeat(characters)).length;
  if (bytes !== together) return [`the messages have ${bytes} bytes`];
  try {
    const { outputs } = await connection.data.getActionData({ actionId: { run: run.id, name: "a0" } });
    const got = outputs?.literals.length ?? 0;
    return together <= limits.readBytesMax && got === 1 ? [] : ["it was read, although it is too large"];
  } catch (cause) {
    return judgeRefusal(seen, together, (cause as Error).message);
  }
}

/** Whether it is said as one bound of both, or as the outputs' own half of it. */
function judgeRefusal(seen: Observations, together: number, message: string): string[] {
  const [firstLine = ""] = message.split("\n");
  if (together <= limits.readBytesMax) return [`it was refused: ${firstLine}`];
  seen.note(`the refusal: ${firstLine}`);
  const bounds = [
    `${limits.readBytesMax / MiB} MiB`,
    `${limits.readBytesMax - limits.inputBytesMax} are allowed`,
  ];
  return bounds.some((bound) => message.includes(bound))
    ? []
    : [`the refusal does not say the bound: ${firstLine}`];
}

function inWords(bytes: number): string {
  const over = bytes % MiB;
  if (bytes < MiB) return `${bytes} bytes`;
  return `${Math.floor(bytes / MiB)} MiB${over === 0 ? "" : ` + ${over} byte${over === 1 ? "" : "s"}`}`;
}

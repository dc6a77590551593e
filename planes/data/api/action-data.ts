/** Inputs and outputs of one action, the stored bytes as they are. */
import { BiplaneError, limits, MiB } from "@biplane/base";
import { appendSupplement, flyte, supplement } from "@biplane/data-wire";
import { projectPrefix, requireOwnLocation } from "@biplane/layout";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { ActionRecord } from "../runs/types.ts";
import type { ApiParts } from "./parts.ts";
import { outputsFileUri } from "./runs.ts";

const { InputsSchema, OutputsSchema } = flyte.task;

export async function readActionData(
  parts: ApiParts,
  record: ActionRecord,
): Promise<flyte.dataproxy.GetActionDataResponse> {
  const outputsUri = outputsFileUri(record);
  const inputs = await readFile(parts, record, record.inputUri, limits.readBytesMax);
  if (inputs === undefined && record.kind !== "trace" && record.inputUri !== "") throw inputsGone(record);
  const room = limits.readBytesMax - (inputs?.length ?? 0);
  const outputs = await readFile(parts, record, outputsUri, room);
  const schema = supplement.GetActionDataResponseSupplementSchema;
  const answer = create(flyte.dataproxy.GetActionDataResponseSchema, {
    // Clients need both, empty where there is nothing yet.
    inputs: fromBinary(InputsSchema, inputs ?? new Uint8Array()),
    outputs: fromBinary(OutputsSchema, outputs ?? new Uint8Array()),
  });
  const uris = create(schema, { inputsUri: record.inputUri, outputsUri: outputsUri ?? "" });
  return appendSupplement(answer, schema, uris);
}

async function readFile(
  parts: ApiParts,
  record: ActionRecord,
  uri: string | undefined,
  bytesMax: number,
): Promise<Uint8Array | undefined> {
  if (uri === undefined || uri === "") return undefined;
  const { key } = requireOwnLocation(uri, parts.objects.bucket, projectPrefix(record));
  const head = await parts.objects.head(key);
  if (head === undefined) return undefined;
  if (head.sizeBytes > bytesMax) throw tooLarge(uri);
  return parts.objects.read(key, bytesMax);
}

/** Clients look for the word "inputs" to tell this from missing outputs. */
function inputsGone(record: ActionRecord): BiplaneError {
  return new BiplaneError(
    "not_found",
    {
      what: `The inputs of action ${record.action} are no longer in storage.`,
      why: "Their object was deleted.",
    },
    { reason: "inputs_missing" },
  );
}

function tooLarge(uri: string): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: "Inputs and outputs of this action are too large to be read as values.",
      why: `Together they have more than ${limits.readBytesMax / MiB} MiB.`,
      next: `Read ${uri} from the object store instead.`,
    },
    { reason: "data_too_large" },
  );
}

/** A task's interface as Flyte's, so that other clients can call it and read its results. */

import * as flyteCore from "@biplane/data-wire/flyte/core";
import { create } from "@bufbuild/protobuf";
import { literalTypeOf } from "../types/literal-type.ts";
import type { ObjectField } from "../types/value-type.ts";
import { outputName } from "../values/inputs-outputs.ts";
import { inputFields, outputType, type TaskDefinition } from "./definition.ts";

export function interfaceOf(definition: TaskDefinition): flyteCore.TypedInterface {
  const output = outputType(definition);
  const outputs =
    output.kind === "none"
      ? []
      : [{ key: outputName, value: { type: literalTypeOf(output), description: "" } }];
  return create(flyteCore.TypedInterfaceSchema, {
    inputs: { variables: inputFields(definition).map(variable) },
    outputs: { variables: outputs },
  });
}

function variable(field: ObjectField) {
  return {
    key: field.name,
    value: { type: literalTypeOf(field.type), description: field.description ?? field.name },
  };
}

/** The parts of `@flyteorg/flyteidl2` that Biplane serves or speaks, one namespace a package. */
export * as actions from "./actions.ts";
export * as auth from "./auth.ts";
export * as cluster from "./cluster.ts";
export * as common from "./common.ts";
export * as core from "./core.ts";
export * as dataproxy from "./dataproxy.ts";
export * as logs from "./logs.ts";
export * as org from "./org.ts";
export * as project from "./project.ts";
export * as task from "./task.ts";
export * as trigger from "./trigger.ts";
export * as workflow from "./workflow.ts";

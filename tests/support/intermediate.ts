/** Moved to `verify/`, where a person's own installation is judged by the same code. */
export * from "@biplane/verify/hostile-control-plane/intermediate";

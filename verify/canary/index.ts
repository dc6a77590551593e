/** The canary search of claims CLS-3 and CLS-4. */
export * from "./forms.ts";
export * from "./search-bytes.ts";
export * from "./search-places.ts";

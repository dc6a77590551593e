/** Part of the build: fails where something that is served, stored, logged or audited has no class (claim CLS-1). */
import { findGaps } from "@biplane/classification/check";
import { readSchemas } from "./schema.ts";
import { readAuditFields, readLogFields } from "./sources.ts";

const [template, cache] = process.argv.slice(2);
if (template === undefined || cache === undefined) {
  throw new Error("Give the embedded database's template, and where to keep the schemas that were read.");
}

const schemas = await readSchemas(template, cache);
const gaps = findGaps({
  controlColumns: schemas.control,
  dataColumns: schemas.data,
  logFields: readLogFields(),
  auditFields: readAuditFields(),
});
if (gaps.length > 0) {
  console.error("The register of data classes and what there is do not agree (claim CLS-1):");
  for (const gap of gaps) console.error(`  ${gap}`);
  console.error("docs/classification.md says what each class means.");
  process.exitCode = 1;
}

/**
 * Lets Node run the repository's TypeScript as it is, generated enums and packages that ship `.ts` included. For
 * development programs such as benchmarks; what is shipped is bundled by build.ts.
 */
import { readFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";

// Node says for each process that its own transformation is experimental.
process.removeAllListeners("warning");

registerHooks({
  resolve(specifier, context, next) {
    // Generated code names its siblings by the extension that they would have when compiled.
    if (specifier.startsWith(".") && specifier.endsWith(".js") && context.parentURL?.endsWith(".ts")) {
      return next(specifier.replace(/\.js$/, ".ts"), context);
    }
    return next(specifier, context);
  },
  load(url, context, next) {
    if (!url.startsWith("file:") || !url.endsWith(".ts")) return next(url, context);
    const source = readFileSync(fileURLToPath(url), "utf8");
    return {
      format: "module",
      source: stripTypeScriptTypes(source, { mode: "transform", sourceMap: true }),
      shortCircuit: true,
    };
  },
});

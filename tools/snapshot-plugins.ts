/** What the snapshot of workers leaves out, or packs until it is first needed: whatever is in it, each worker pays for. */
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Plugin } from "esbuild";

/**
 * Modules that few tasks need. Whoever needs one unpacks it in a few milliseconds. The bundle of the SDK has them as they
 * are, where bans and lists of dependencies see what they bring.
 */
const seldomNeeded =
  /[\\/]node_modules[\\/](zod[\\/]v4[\\/]locales[\\/]index|fast-xml-parser[\\/]src[\\/]fxp)\.js$/;

/** Puts modules into the bundle as packed text; their functions unpack it at the first call. What is no function is missing. */
export const packSeldomNeeded: Plugin = {
  name: "pack-seldom-needed",
  setup({ onLoad }) {
    onLoad({ filter: seldomNeeded }, async ({ path }) => {
      const exports = Object.entries(await import(pathToFileURL(path).href));
      const names = exports.filter(([, value]) => typeof value === "function").map(([name]) => name);
      return { contents: unpackingModule(await bundleText(path), names), resolveDir: dirname(path) };
    });
  },
};

async function bundleText(path: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    minify: true,
    platform: "node",
    target: "node24",
    format: "cjs",
  });
  return outputFiles[0]!.text;
}

function unpackingModule(source: string, names: readonly string[]): string {
  const packed = gzipSync(source, { level: 9 }).toString("base64");
  const exported = names.map(
    (name) => `export function ${name}(...given) {
      const its = unpacked().${name};
      return new.target === undefined ? its(...given) : new its(...given);
    }`,
  );
  return `
    import { runInThisContext } from "node:vm";
    import { gunzipSync } from "node:zlib";
    let exports;
    function unpacked() {
      if (exports !== undefined) return exports;
      const module = { exports: {} };
      const source = gunzipSync(Buffer.from("${packed}", "base64")).toString("utf8");
      runInThisContext("(function (module, exports) {" + source + "\\n})")(module, module.exports);
      return (exports = module.exports);
    }
    ${exported.join("\n")}
  `;
}

/**
 * The rules by which Flyte's services check what they get: the greatest of all messages, and a worker checks nothing by them.
 * Other files name it as one that they import, so that an empty file stands for it.
 */
export const withoutFieldRules: Plugin = {
  name: "without-field-rules",
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]flyteidl2[\\/]buf[\\/]validate[\\/]validate_pb\.ts$/ }, ({ path }) => {
      const file = Buffer.concat([field(1, "buf/validate/validate.proto"), field(2, "buf.validate")]);
      const contents = `
        import { fileDesc } from "@bufbuild/protobuf/codegenv1";
        export const file_buf_validate_validate = fileDesc("${file.toString("base64")}");
      `;
      return { contents, resolveDir: dirname(path) };
    });
  },
};

/** Of FileDescriptorProto: https://protobuf.dev/programming-guides/encoding/#length-types */
function field(number: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]);
}

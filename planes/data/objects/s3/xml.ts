/** XML as S3 writes and reads it. */
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { S3Error } from "./s3-error.ts";

/** A tree of elements: text, or children in order; undefined children are left out. */
export type XmlContent = string | number | boolean | readonly (Xml | undefined)[];
export type Xml = readonly [name: string, content: XmlContent];

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

export function renderXml([name, content]: Xml): string {
  const inner = renderContent(content);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="${namespace}">${inner}</${name}>`;
}

/** Errors carry no namespace at S3. */
export function renderError(code: string, message: string, extra: readonly Xml[]): string {
  const inner = renderContent([["Code", code], ["Message", message], ...extra]);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${inner}</Error>`;
}

function renderContent(content: XmlContent): string {
  if (!Array.isArray(content)) return escapeText(String(content));
  let text = "";
  for (const child of content as readonly (Xml | undefined)[]) {
    if (child !== undefined) text += `<${child[0]}>${renderContent(child[1])}</${child[0]}>`;
  }
  return text;
}

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeText(text: string): string {
  // Control characters can't stand in XML 1.0 at all; S3 writes them as references, which clients accept.
  return text.replace(
    /[&<>"\p{Cc}]/gu,
    (character) => escapes[character] ?? `&#x${character.charCodeAt(0).toString(16)};`,
  );
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  removeNSPrefix: true,
  htmlEntities: true,
  isArray: (name) => name === "Part" || name === "Object",
});

/** The root element's children by name. `Part` and `Object` are lists. Entities of the document's own are refused. */
export function parseXml(text: string, root: string): Readonly<Record<string, unknown>> {
  if (text.includes("<!") || XMLValidator.validate(text) !== true) throw new S3Error("MalformedXML");
  const content: unknown = (parser.parse(text) as Record<string, unknown>)[root];
  if (typeof content !== "object" || content === null) throw new S3Error("MalformedXML");
  return content as Record<string, unknown>;
}

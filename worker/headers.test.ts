import { describe, expect, it } from "vitest";
import { Headers as PlainHeaders } from "./headers.ts";

type AnyHeaders = PlainHeaders | Headers;
const constructors = { "Node's": Headers, "a worker's": PlainHeaders } as const;

describe.each(Object.entries(constructors))("%s headers", (_, Constructor) => {
  const make = (fields?: ConstructorParameters<typeof PlainHeaders>[0]): AnyHeaders =>
    new Constructor(
      fields as ConstructorParameters<typeof Headers>[0] & ConstructorParameters<typeof PlainHeaders>[0],
    );

  it("find a value whatever the name's case, and join what is appended", () => {
    const headers = make({ "Content-Type": "a/b", Accept: " x\t" });
    headers.append("accept", "y");
    expect(headers.get("ACCEPT")).toBe("x, y");
    expect(headers.has("content-type")).toBe(true);
    expect(headers.get("absent")).toBeNull();
    headers.set("Accept", "z");
    headers.delete("CONTENT-TYPE");
    expect([...headers]).toEqual([["accept", "z"]]);
  });

  it("are visited by name", () => {
    const headers = make([
      ["b", "2"],
      ["A", "1"],
      ["b", "3"],
    ]);
    const visited: string[] = [];
    headers.forEach((value, name) => void visited.push(`${name}=${value}`));
    expect(visited).toEqual(["a=1", "b=2, 3"]);
    expect([...headers.keys()]).toEqual(["a", "b"]);
    expect([...headers.values()]).toEqual(["1", "2, 3"]);
    expect([...make(headers)]).toEqual([...headers.entries()]);
  });

  it("keep each cookie", () => {
    const headers = make([
      ["Set-Cookie", "a=1, 2"],
      ["set-cookie", "b=3"],
    ]);
    expect(headers.getSetCookie()).toEqual(["a=1, 2", "b=3"]);
    expect([...headers]).toEqual([
      ["set-cookie", "a=1, 2"],
      ["set-cookie", "b=3"],
    ]);
    expect(headers.get("set-cookie")).toBe("a=1, 2, b=3");
    headers.set("set-cookie", "c");
    expect(headers.getSetCookie()).toEqual(["c"]);
  });

  it.each([
    ["a name with a blank", "a b", "1"],
    ["no name", "", "1"],
    ["a value with a line's end", "a", "1\r\nb: 2"],
    ["a value with a zero", "a", "1\0"],
    ["a value above Latin-1", "a", "€"],
  ])("refuse %s", (_case, name, value) => {
    const headers = make();
    expect(() => headers.set(name, value)).toThrow(TypeError);
    expect(() => headers.append(name, value)).toThrow(TypeError);
    expect([...headers]).toEqual([]);
  });
});

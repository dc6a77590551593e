import { describe, expect, test } from "vitest";
import { type Denial, isDenied, type PolicyContent, policyDocument } from "./policy-document.ts";
import { documentPayload, judgeDocument, type SignedContent } from "./signed-document.ts";

const content: PolicyContent = {
  roles: [{ name: "Operator", permissions: ["run.read"] }],
  assignments: [
    { id: "a-1", principal: { kind: "group", id: "data engineers" }, role: "Operator", scope: {} },
  ],
  denied: [],
};
const document = (version: number, issuedAt: number, changed: Partial<PolicyContent> = {}) => ({
  head: { org: "acme", version, issuedAt, expiresAt: issuedAt + 900 },
  content: { ...content, ...changed },
});
const judge = (payload: unknown, held?: SignedContent<PolicyContent>, nowSeconds = 1_000) =>
  judgeDocument(policyDocument, payload, { org: "acme", nowSeconds, held });
const judged = (
  next: SignedContent<PolicyContent>,
  held?: SignedContent<PolicyContent>,
  nowSeconds = 1_000,
) => judge(documentPayload(next), held, nowSeconds).kind;

describe("a document is believed", () => {
  test("when it is the first, a newer version, or a newer signature of the same", () => {
    expect(judge(documentPayload(document(1, 900)))).toEqual({
      kind: "accepted",
      document: document(1, 900),
    });
    expect(judged(document(3, 900), document(2, 950))).toBe("accepted");
    expect(judged(document(2, 980), document(2, 950))).toBe("accepted");
    expect(judged(document(2, 950), document(2, 950))).toBe("unchanged");
  });
});

describe("a document is refused (claim TRUST-3)", () => {
  test("when it is older than what is held", () => {
    expect(judged(document(1, 990), document(2, 950))).toBe("rolled_back");
    expect(judged(document(2, 940), document(2, 950))).toBe("rolled_back");
  });

  test("when it gives the held version another content", () => {
    expect(judged(document(2, 990, { assignments: [] }), document(2, 950))).toBe("forked");
  });

  test("when it is out of date, from the future, or another organization's", () => {
    expect(judged(document(1, 100))).toBe("expired");
    expect(judged(document(1, 1_100))).toBe("not_yet_valid");
    const { head } = document(1, 900);
    expect(judged({ head: { ...head, org: "other" }, content })).toBe("wrong_organization");
  });

  test.each([
    ["an unknown field", { ...content, admins: ["mallory"] }],
    ["an unknown field inside", { ...content, roles: [{ name: "R", permissions: [], also: 1 }] }],
    ["a missing field", { roles: [], assignments: [] }],
    ["a mail address for a subject", withPrincipal({ kind: "subject", id: "ada@example.com" })],
    ["an unknown kind of principal", withPrincipal({ kind: "everyone", id: "x" })],
    ["too many assignments", { ...content, assignments: Array(10_001).fill(content.assignments[0]) }],
    ["no object", []],
  ])("when it has %s", (_, changed) => {
    const { head } = document(1, 900);
    expect(judge({ ...head, ...changed }).kind).toBe("malformed");
  });

  test.each([{ version: 0 }, { version: 1.5 }, { expiresAt: 900 }, { issuedAt: -1 }])(
    "when its head says %o",
    (fields) => {
      const { head } = document(1, 900);
      expect(judge({ ...head, ...fields, ...content }).kind).toBe("malformed");
    },
  );
});

function withPrincipal(principal: object) {
  return { ...content, assignments: [{ ...content.assignments[0], principal }] };
}

test("the deny list takes back tokens that were issued before, and no later ones (claim IAM-1)", () => {
  const denied: Denial[] = [
    { kind: "subject", id: "ada", issuedUntil: 100, until: 1_000 },
    { kind: "grant", id: "g1", issuedUntil: 200, until: 1_000 },
    { kind: "token", id: "t1", issuedUntil: 300, until: 1_000 },
  ];
  const bundle = { org: "acme", version: 1, ...content, denied };
  const token = { subject: "bob", tokenId: "t9", grant: "g9", issuedAt: 50 };
  expect(isDenied(bundle, token)).toBe(false);
  expect(isDenied(bundle, { ...token, subject: "ada" })).toBe(true);
  expect(isDenied(bundle, { ...token, subject: "ada", issuedAt: 101 })).toBe(false);
  expect(isDenied(bundle, { ...token, grant: "g1", issuedAt: 150 })).toBe(true);
  expect(isDenied(bundle, { ...token, tokenId: "t1", issuedAt: 300 })).toBe(true);
  // A grant that has a subject's name is another thing.
  expect(isDenied(bundle, { ...token, grant: "ada" })).toBe(false);
});

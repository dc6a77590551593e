import { X509Certificate } from "node:crypto";
import { connect as connectTls } from "node:tls";
import {
  ConnectRequestSchema,
  EnrollmentService,
  EventBatchSchema,
  HeartbeatSchema,
  HelloSchema,
  IndexService,
  IntentAnswerSchema,
  LinkService,
} from "@biplane/control-wire";
import {
  createCertificateRequest,
  createClientTransport,
  createRootAuthority,
  issueCertificate,
} from "@biplane/kit";
import { clone, create, type DescMethodUnary, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  allow,
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  stateEnrollment,
  type TestCluster,
  type TestControlPlane,
  type TestOrganization,
} from "../../../tests/support/control-plane.ts";
import { domain, LinkPeer, project, runCreated } from "../../../tests/support/link-peer.ts";

let control: TestControlPlane;
let home: TestCluster;
let stranger: TestCluster;

beforeAll(async () => {
  control = await startTestControlPlane();
  home = await enrollCluster(control, await createOrganization("acme"), "home");
  stranger = await enrollCluster(control, await createOrganization("other"), "home");
  await allow(control, home.organization);
  await allow(control, stranger.organization);
  await createClient(IndexService, home.transportAs("ada")).createProject({ id: project });
});
afterAll(async () => {
  await control.close();
  await removeClusterFolders();
});

const codeOf = (error: unknown) => ConnectError.from(error).rawMessage;

function transportWith(cluster: TestCluster, headers: Record<string, string>) {
  return createClientTransport({
    baseUrl: `https://localhost:${control.port}`,
    tls: { authorityPem: cluster.enrollment.providerRootPem, identity: cluster.enrollment.identity },
    interceptors: [
      (next) => (request) => {
        for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
        return next(request);
      },
    ],
  });
}

function listProjects(cluster: TestCluster, token: string) {
  return createClient(
    IndexService,
    transportWith(cluster, { authorization: `Bearer ${token}` }),
  ).listProjects({});
}

test("without a certificate there is enrollment and nothing else (claim TLS-3)", async () => {
  const transport = createClientTransport({
    baseUrl: `https://localhost:${control.port}`,
    tls: { authorityPem: home.enrollment.providerRootPem },
  });
  const asked = createClient(IndexService, transport).listProjects({});
  await expect(asked).rejects.toThrow(/certificate of an enrolled cluster/);
  const streamed = createClient(LinkService, transport).connect((async function* () {})());
  await expect(streamed[Symbol.asyncIterator]().next()).rejects.toThrow(/certificate of an enrolled cluster/);
  const enrolled = createClient(EnrollmentService, transport).enroll({ org: "acme", cluster: "home" });
  await expect(enrolled).rejects.toThrow(/not signed under the organization/);
});

test.each([
  ["another provider", "Another provider"],
  ["one that took the provider's name", "Biplane provider"],
])("a certificate of %s is worth nothing, whatever it names (claim TLS-3)", async (_, authorityName) => {
  const forged = await issueCertificate(await createRootAuthority(authorityName, 3_600_000), {
    commonName: "home.acme",
    hosts: ["home.acme.cluster.biplane.internal"],
    uses: ["client"],
    lifetimeMs: 3_600_000,
  });
  const cluster = { ...home, enrollment: { ...home.enrollment, identity: forged } };
  const token = await home.organization.token("ada");
  await expect(listProjects(cluster, token)).rejects.toThrow(/certificate of an enrolled cluster|canceled/);
  const own = await listProjects(home, token);
  expect(own.projects).toHaveLength(1);
});

test("a certificate from before a new enrollment is worth nothing after it (claim TLS-3)", async () => {
  const organization = await createOrganization("moved");
  const before = await enrollCluster(control, organization, "home");
  const after = await enrollCluster(control, organization, "home");
  await allow(control, organization);
  const token = await organization.token("ada");
  await expect(listProjects(before, token)).rejects.toThrow(/not one of the cluster's present ones/);
  expect((await listProjects(after, token)).projects).toEqual([]);
});

test("a certificate that has expired is worth nothing, on a connection that is open too (claim TLS-3)", async () => {
  const lifetimeMs = 3_000;
  const brief = await startTestControlPlane({ clusterCertificateMs: lifetimeMs });
  try {
    const organization = await createOrganization("brief");
    const cluster = await enrollCluster(brief, organization, "home");
    await allow(brief, organization);
    const transport = cluster.transportAs("ada");
    const ask = (over = transport) => createClient(IndexService, over).listProjects({});
    expect((await ask()).projects).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, lifetimeMs + 500));
    await expect(ask()).rejects.toThrow(/certificate|canceled|expired/i);
    await expect(ask(cluster.transportAs("ada"))).rejects.toThrow(/certificate|canceled|expired/i);
  } finally {
    await brief.close();
  }
});

test.each([
  ["of another audience", { aud: "biplane:router" }],
  ["that expired", { exp: 1_700_000_000, iat: 1_699_999_900 }],
  ["that lives longer than a control token may", { exp: Math.floor(Date.now() / 1_000) + 3_600 }],
  ["of another organization", { org: "other" }],
  ["without a subject", { sub: "" }],
  ["without an id", { jti: undefined }],
])("a token %s is refused", async (_, claims) => {
  const token = await home.organization.token("ada", claims);
  await expect(listProjects(home, token)).rejects.toThrow(/unauthenticated/);
});

test("a token signed by another key is refused, even for the right organization", async () => {
  const token = await stranger.organization.token("ada", { org: "acme" });
  await expect(listProjects(home, token)).rejects.toThrow(/not valid here/);
  await expect(listProjects(home, "")).rejects.toThrow(/No control token/);
});

test("what belongs to another organization is not found (claim ISO-1)", async () => {
  const peer = new LinkPeer(home);
  await peer.open();
  peer.events([runCreated(3, "r-secret")]);
  await peer.next("ack");
  peer.close();
  const others = createClient(IndexService, stranger.transportAs("eve"));
  const asked = [
    () => others.getProject({ id: project }),
    () => others.getRun({ run: { org: "acme", project, domain, name: "r-secret" } }),
    () => others.getRun({ run: { org: "other", project, domain, name: "r-secret" } }),
    () => others.listActions({ run: { org: "", project, domain, name: "r-secret" } }),
  ];
  for (const ask of asked) await expect(ask()).rejects.toThrow(/not_found/);
  expect((await others.listRuns({})).runs).toEqual([]);
  const own = await createClient(IndexService, home.transportAs("ada")).listRuns({});
  expect(own.runs.map((run) => run.run?.name)).toEqual(["r-secret"]);
});

const upward = {
  hello: { case: "hello", value: create(HelloSchema) },
  events: { case: "events", value: create(EventBatchSchema, { incarnation: "first" }) },
  intentAnswer: { case: "intentAnswer", value: create(IntentAnswerSchema, { fence: 1n, outcome: 1 }) },
  heartbeat: { case: "heartbeat", value: create(HeartbeatSchema) },
} as const;

test.each(Object.values(upward))(
  "a message of type $case that came before is refused, in its own connection and in a later one (claim TRUST-3)",
  async (message) => {
    const first = new LinkPeer(home);
    await first.open();
    const recorded = create(ConnectRequestSchema, { message } as MessageInitShape<
      typeof ConnectRequestSchema
    >);
    if (message.case === "hello") {
      Object.assign(recorded, { sequence: 1n });
      recorded.message.value = create(HelloSchema, { nonce: first.nonce, org: "acme", cluster: "home" });
    } else first.sendNext(recorded);
    first.sendRaw(clone(ConnectRequestSchema, recorded));
    expect(codeOf(await first.ended())).toMatch(/came before|another connection/);
    const later = new LinkPeer(home);
    await later.open();
    later.sendRaw(clone(ConnectRequestSchema, recorded));
    expect(codeOf(await later.ended())).toContain("belongs to another connection");
    const control = new LinkPeer(home);
    await control.open();
    if (message.case !== "hello") control.send(message);
    control.events([]);
    await control.next("ack");
    control.close();
  },
);

test("messages that change places are refused (claim TRUST-3)", async () => {
  const peer = new LinkPeer(home);
  await peer.open();
  const swapped = [upward.heartbeat, upward.intentAnswer].map((message) => {
    const made = create(ConnectRequestSchema, { message } as MessageInitShape<typeof ConnectRequestSchema>);
    peer.order.stamp(made);
    return made;
  });
  for (const message of swapped.reverse()) peer.sendRaw(message);
  expect(codeOf(await peer.ended())).toContain("is not the next one");
});

test("an unknown field ends the link and names its path, at any depth (claim CLS-2)", async () => {
  const field = (number: number, bytes: Uint8Array) =>
    new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
  const smuggled = new BinaryWriter().tag(99, WireType.LengthDelimited).string("inputs").finish();
  // ConnectRequest.events.events[0].run_created.task
  const message = fromBinary(ConnectRequestSchema, field(2, field(2, field(3, field(4, smuggled)))));
  const peer = new LinkPeer(home);
  await peer.open();
  peer.sendNext(message);
  expect(codeOf(await peer.ended())).toContain("events.events[0].run_created.task.99");
});

test("an error's text in a failure code ends the link before it is stored (claim CLS-6)", async () => {
  const peer = new LinkPeer(home);
  await peer.open();
  peer.events([runCreated(4, "r-text", { failureCode: "KeyError: 'patient-4711'" })]);
  expect(codeOf(await peer.ended())).toContain("run_created.failure_code");
});

test("the index takes no text form, which would hide unknown fields", async () => {
  const { identity, providerRootPem } = home.enrollment;
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connectTls({
      port: control.port,
      host: "localhost",
      ca: providerRootPem,
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      ALPNProtocols: ["http/1.1"],
    });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
    socket.write(
      "POST /biplane.control.v1.IndexService/ListProjects HTTP/1.1\r\nhost: localhost\r\n" +
        "content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    );
  });
  expect(answer).toMatch(/^HTTP\/1.1 415 /);
});

test("an enrollment code works once, for its own cluster, and pins the organization's root", async () => {
  const organization = await createOrganization("pinned");
  await enrollCluster(control, organization, "one");
  await expect(enrollCluster(control, await createOrganization("pinned"), "two")).rejects.toThrow(
    /Organization pinned has another root/,
  );
  const joined = await enrollCluster(control, organization, "two");
  const names = new X509Certificate(joined.enrollment.identity.certificatePem).subjectAltName;
  expect(names).toContain("DNS:two.pinned.cluster.biplane.internal");
  expect(names).toContain("DNS:router.two.pinned.tunnel.biplane.internal");
  expect(names).not.toContain("localhost");
});

test("every request leaves one record, refused ones too, without what it said (claim AUD-1)", async () => {
  const records = async () => {
    const all = [];
    const log = await control.state.audit.of("acme");
    for await (const record of log.readRecords()) if (record.decision !== "event") all.push(record);
    return all;
  };
  const before = (await records()).length;
  const index = createClient(IndexService, home.transportAs("ada"));
  await index.createProject({ id: "audited", displayName: "Quarterly figures" });
  await expect(index.createProject({ id: "audited" })).rejects.toThrow(/already_exists/);
  await expect(listProjects(home, "nonsense")).rejects.toThrow(/unauthenticated/);
  const added = (await records()).slice(before);
  expect(added.map(({ code, subject, decision }) => [code, subject, decision])).toEqual([
    ["INDEX_PROJECT_CREATED", "ada", "allowed"],
    // It was permitted, and that is on record before anything happens; that the name is taken is an answer.
    ["INDEX_PROJECT_CREATED", "ada", "allowed"],
    ["INDEX_PROJECTS_LISTED", "", "unauthenticated"],
  ]);
  expect(added[0]).toMatchObject({ org: "acme", cluster: "home" });
  expect(JSON.stringify(added)).not.toContain("Quarterly");
});

const statementOf = (organization: TestOrganization, changes: object, signAs = "stolen") =>
  stateEnrollment(control, organization, "stolen", changes, signAs);

test("a stolen code makes nobody an organization: what enrolls is signed under its root (claim TRUST-1)", async () => {
  const organization = await createOrganization("victim");
  await enrollCluster(control, organization, "home");
  const thief = await createOrganization("victim");
  const thiefs = await thief.certificatesOf("stolen");
  const { request } = await statementOf(organization, {});
  const refused = (changes: object, signAs?: string) =>
    expect(statementOf(organization, changes, signAs).then(({ send }) => send())).rejects;

  await refused({ statement: "" }).toThrow(/not signed under/);
  // The real root, which everybody may know, above a signer of the thief's own.
  await refused({ signer: thiefs.intermediate }).toThrow(/did not issue its signer/);
  // The thief's key in the certificate request, under a statement that was overheard.
  const other = await createCertificateRequest("thief");
  await refused({ certificateRequest: other.requestDer }).toThrow(/another request/);
  await refused({ controlTokenKeys: thief.tokenKeys }).toThrow(/another tokenKeys/);
  // A sister cluster's intermediate, and a statement for another provider.
  await refused({}, "sister").toThrow(/signer is another cluster/);
  await refused({ providerRoot: request.organizationRoot }).toThrow(/another provider/);
  const old = Date.now() - 3_600_000;
  await refused({ atMs: old }).toThrow(/made at another time/);
  // The control: the same without a change.
  const honest = await statementOf(organization, {});
  expect((await honest.send()).certificate.length).toBeGreaterThan(0);
});

test("a cluster's control token is worth nothing on another cluster's link", async () => {
  const organization = await createOrganization("sisters");
  const [one, other] = [
    await enrollCluster(control, organization, "one"),
    await enrollCluster(
      control,
      { ...organization, tokenKeys: (await createOrganization("x")).tokenKeys },
      "b",
    ),
  ];
  await allow(control, organization);
  const token = await organization.token("ada");
  await expect(listProjects(one, token)).resolves.toBeDefined();
  await expect(listProjects(other, token)).rejects.toThrow(/unauthenticated/);
});

test("each call of each method of the index, allowed or not, leaves one record of its own code (claim AUD-1)", async () => {
  const log = await control.state.audit.of("acme");
  const recorded = async () => {
    const all = [];
    for await (const record of log.readRecords()) if (record.code.startsWith("INDEX_")) all.push(record);
    return all;
  };
  const before = (await recorded()).length;
  const callers = [home.transportAs("ada"), home.transport()];
  const methods = Object.values(IndexService.method) as unknown as DescMethodUnary[];
  for (const transport of callers) {
    for (const method of methods) {
      const message = create(method.input);
      await transport.unary(method, undefined, undefined, undefined, message).catch(() => undefined);
    }
  }
  const added = (await recorded()).slice(before);
  expect(added.map(({ method, subject }) => [method, subject])).toEqual(
    ["ada", ""].flatMap((subject) =>
      methods.map(({ name }) => [`biplane.control.v1.IndexService/${name}`, subject]),
    ),
  );
  expect(new Set(added.map(({ code }) => code)).size).toBe(methods.length);
  for (const { decision, subject } of added) {
    expect(decision === "unauthenticated").toBe(subject === "");
  }
});

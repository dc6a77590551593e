/** Every message that a control plane may send, with an unknown field anywhere in it, against a data plane's real link. */
import {
  type ConnectResponse,
  ConnectResponseSchema,
  EnrollmentService,
  IndexService,
} from "@biplane/control-wire";
import { createClientTransport, fromConnectError } from "@biplane/kit";
import { eventually } from "@biplane/verify/frame/eventually";
import { clone, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { afterEach, expect, test } from "vitest";
import { createOrganization, quiet } from "../../../tests/support/control-plane.ts";
import { namedMessages, spoiledMessages, wholeMessages } from "../../../tests/support/generated-messages.ts";
import { type Answers, linkToControlPlane } from "../../../tests/support/linked-data-plane.ts";
import { principalOf } from "../../../tests/support/principal.ts";
import { type Behaviour, welcome } from "../../../tests/support/scripted-control-plane.ts";
import { enroll } from "./index.ts";
import { renewEnrollment } from "./renewal.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function linkTo(behaviour: Behaviour, answers?: Answers) {
  const linked = await linkToControlPlane(behaviour, answers);
  closing.push(() => linked.close());
  return linked;
}

const patient: Behaviour = async function* (requests) {
  yield welcome();
  for await (const _ of requests);
};

/** A link on which each connection brings the next message, as its first or right after the welcome. */
async function refusalsOf(messages: readonly ConnectResponse[]): Promise<readonly string[]> {
  let next = 0;
  const { refusals, audit } = await linkTo(async function* (requests) {
    const message = messages[Math.min(next, messages.length - 1)]!;
    next += 1;
    if (message.message.case !== "welcome") yield welcome();
    // Numbered as the next one: it is not its place for which it is refused.
    yield Object.assign(clone(ConnectResponseSchema, message), { sequence: 0n, session: new Uint8Array() });
    for await (const _ of requests);
  });
  await eventually(
    async () => refusals.length,
    (count) => count >= messages.length,
    { withinMs: 120_000, what: "Each message being refused" },
  );
  expect(new Set(audit.reasons("LINK_REFUSED"))).toEqual(new Set(["unfit_message"]));
  return refusals.slice(0, messages.length);
}

test.each(namedMessages(ConnectResponseSchema))(
  "%s: an unknown field anywhere is refused by its path and ends the connection (claim CLS-2)",
  async (_, whole) => {
    const spoiled = spoiledMessages(ConnectResponseSchema, whole);
    const refused = await refusalsOf(spoiled.map(({ message }) => message as ConnectResponse));
    const wanted = spoiled.map(({ path }) => `A message of the control plane was refused at ${path}.`);
    expect(refused).toEqual(wanted);
  },
);

const textOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "",
    (error: unknown) => fromConnectError(error).text.what,
  );

const methods = Object.values(IndexService.method).map((method) => [method.name, method] as const);

test.each(methods)(
  "%s: an unknown field anywhere in its answer is refused by its path (claim CLS-2)",
  async (_, method) => {
    let answer: Message | undefined;
    const { link } = await linkTo(patient, { index: { [method.localName]: () => answer } });
    await link.ready();
    const client = link.index(principalOf("ada")) as unknown as Record<
      string,
      (request: object) => Promise<unknown>
    >;
    for (const whole of wholeMessages(method.output)) {
      for (const { path, message } of spoiledMessages(method.output, whole)) {
        answer = message;
        expect(await textOf(client[method.localName]!({}))).toContain(`was refused at ${path}.`);
      }
      answer = whole;
      expect(await textOf(client[method.localName]!({})), "control").toBe("");
    }
  },
);

test.each(Object.values(EnrollmentService.method).map((method) => [method.name, method] as const))(
  "%s: an unknown field anywhere in its answer is refused by its path (claim CLS-2)",
  async (name, method) => {
    let answer: Message | undefined;
    const linked = await linkTo(patient, { enrollment: { [method.localName]: () => answer } });
    const ask = name === "Enroll" ? () => enrollWith(linked) : () => renewWith(linked);
    for (const whole of wholeMessages((method as unknown as DescMethodUnary).output)) {
      for (const { path, message } of spoiledMessages(method.output, whole)) {
        answer = message;
        expect(await textOf(ask())).toContain(`was refused at ${path}.`);
      }
      answer = whole;
      expect(await textOf(ask()), "control").not.toContain("was refused at");
    }
  },
);

type Linked = Awaited<ReturnType<typeof linkToControlPlane>>;

async function enrollWith({ root, port, folder }: Linked): Promise<unknown> {
  const organization = await createOrganization("acme");
  const der = root.certificatePem.replace(/-----[A-Z ]+-----|\s/g, "");
  const address = `localhost:${port}`;
  const code = { address, root: Buffer.from(der, "base64").toString("base64url"), secret: "s".repeat(43) };
  return enroll({
    code: Buffer.from(JSON.stringify(code)).toString("base64url"),
    org: "acme",
    cluster: "home",
    certificates: await organization.certificatesOf("home"),
    controlTokenKeys: organization.tokenKeys,
    region: "eu-test",
    folder,
    ledger: { record: async () => {} },
    log: quiet,
  });
}

async function renewWith({ root, port, identity }: Linked): Promise<unknown> {
  const tls = { authorityPem: root.certificatePem, identity };
  const transport = createClientTransport({ baseUrl: `https://localhost:${port}`, tls });
  const enrollment = {
    ...{ org: "acme", cluster: "home", identity, providerRootPem: root.certificatePem },
    ...{ linkAddress: `localhost:${port}`, edgeAddress: "", addresses: {}, controlPlaneRegion: "" },
  };
  return renewEnrollment(enrollment, transport);
}

/** Every message that a data plane may send, with an unknown field anywhere in it, against a control plane's real listener. */
import {
  type ConnectRequest,
  ConnectRequestSchema,
  EnrollmentService,
  IndexService,
} from "@biplane/control-wire";
import { createClientTransport } from "@biplane/kit";
import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import { namedMessages, spoiledMessages, wholeMessages } from "../../../tests/support/generated-messages.ts";
import { LinkPeer } from "../../../tests/support/link-peer.ts";

let control: TestControlPlane;
let home: TestCluster;

beforeAll(async () => {
  control = await startTestControlPlane();
  home = await enrollCluster(control, await createOrganization("acme"), "home");
});
afterAll(async () => {
  await control.close();
  await removeClusterFolders();
});

const methods = [...Object.values(IndexService.method), ...Object.values(EnrollmentService.method)].map(
  (method) => [`${method.parent.name}/${method.name}`, method as unknown as DescMethodUnary] as const,
);

/** As whom a data plane calls it: enrollment happens without a certificate. */
function transportFor(method: DescMethodUnary): Transport {
  if (method.parent.typeName === IndexService.typeName) return home.transportAs("ada");
  const tls = { authorityPem: home.enrollment.providerRootPem };
  if (method.name === "Renew") return home.transport();
  return createClientTransport({ baseUrl: `https://localhost:${control.port}`, tls });
}

/** What was said against the message; empty where nothing was. */
async function refusalOf(transport: Transport, method: DescMethodUnary, message: Message): Promise<string> {
  const call = transport.unary(method, undefined, undefined, undefined, message as never);
  return call.then(
    () => "",
    (error: unknown) => ConnectError.from(error).rawMessage,
  );
}

test.each(methods)(
  "%s refuses an unknown field by its path, wherever it is, and takes the message without it (claim CLS-2)",
  async (_, method) => {
    const transport = transportFor(method);
    for (const whole of wholeMessages(method.input)) {
      for (const { path, message } of spoiledMessages(method.input, whole)) {
        const refused = `${method.input.typeName} was refused at ${path}.`;
        expect(await refusalOf(transport, method, message)).toContain(refused);
      }
      expect(await refusalOf(transport, method, whole)).not.toContain("was refused at");
    }
  },
);

/** What ends a new link on which this is the first message after the welcome; a hello is the first of all. */
async function endAfter(message: ConnectRequest): Promise<string> {
  const peer = new LinkPeer(home);
  if (message.message.case !== "hello") await peer.open();
  peer.sendNext(message);
  const error = await peer.ended();
  peer.close();
  return error === undefined ? "" : ConnectError.from(error).rawMessage;
}

const kinds = namedMessages(ConnectRequestSchema);

test.each(kinds)(
  "%s: an unknown field anywhere ends the link and is named (claim CLS-2)",
  async (_, whole) => {
    for (const { path, message } of spoiledMessages(ConnectRequestSchema, whole)) {
      expect(await endAfter(message as ConnectRequest)).toContain(`was refused at ${path}.`);
    }
  },
);

test("control: the same link takes a message without an unknown field", async () => {
  const peer = new LinkPeer(home);
  await peer.open();
  peer.events([]);
  expect(await peer.next("ack")).toBeDefined();
  peer.close();
});

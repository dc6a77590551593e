/** The beginning of a connection: the hello is checked, the welcome says where to go on, what was lost is said again. */
import { randomBytes } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import {
  type Admission,
  agreeOnVersion,
  type ConnectResponse,
  EventAckSchema,
  type Hello,
  newestProtocolVersion,
  nonceBytes,
  sessionOf,
  WelcomeSchema,
} from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { recordHello } from "../clusters/clusters.ts";
import type { ClusterPeer } from "../clusters/peer.ts";
import { openPosition, type Position } from "./positions.ts";
import type { LinkDependencies } from "./session.ts";
import { unansweredAdmissions } from "./unanswered.ts";

type Message = ConnectResponse["message"];

const admissionsPerAck = 10_000;

export async function openLink(
  { store, clock, region }: LinkDependencies,
  peer: ClusterPeer,
  hello: Hello,
): Promise<{ position: Position; messages: Message[]; session: Uint8Array }> {
  const { org, cluster } = peer;
  const version = checkHello(peer, hello);
  const nowMs = clock.now();
  const nonce = new Uint8Array(randomBytes(nonceBytes));
  return store.asOrg(org, async (transaction) => {
    await recordHello(store, transaction, peer, hello, nowMs);
    const position = await openPosition(transaction, org, cluster, hello);
    const acknowledged = Number(hello.acknowledgedSequence);
    const { incarnation } = hello;
    const admissions = await unansweredAdmissions({ transaction, org, cluster, incarnation, acknowledged });
    const welcome = create(WelcomeSchema, {
      protocolVersion: version,
      cursor: BigInt(position.cursor),
      snapshotWanted: position.state === "wanted",
      region,
      nonce,
    });
    const messages: Message[] = [{ case: "welcome", value: welcome }, ...ackMessages(position, admissions)];
    return { position, messages, session: sessionOf(hello.nonce, nonce) };
  });
}

/** Returns the version that both sides speak. */
function checkHello(peer: ClusterPeer, hello: Hello): number {
  const version = agreeOnVersion(hello.protocolVersion);
  if (version === undefined) throw tooOld(hello.protocolVersion);
  if (hello.org !== peer.org || hello.cluster !== peer.cluster) throw notYou(peer);
  if (hello.incarnation === "") {
    throw new BiplaneError("invalid_argument", "A hello names the incarnation of its database.", {
      reason: "incarnation_missing",
    });
  }
  return version;
}

/** Nothing was applied of an incarnation that is new here, so nothing of it can be acknowledged. */
function ackMessages(position: Position, admissions: readonly Admission[]): Message[] {
  const messages: Message[] = [];
  for (let start = 0; start < admissions.length; start += admissionsPerAck) {
    const value = create(EventAckSchema, {
      cursor: BigInt(position.cursor),
      admissions: admissions.slice(start, start + admissionsPerAck),
    });
    messages.push({ case: "ack", value });
  }
  return messages;
}

function tooOld(version: number): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: `The data plane speaks version ${version} of the link's protocol, which is not supported.`,
      why: `The control plane's newest version is ${newestProtocolVersion}.`,
      next: "Update the data plane.",
    },
    { reason: "protocol_version" },
  );
}

function notYou(peer: ClusterPeer): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: "The hello names another cluster than its certificate.",
      why: `The certificate belongs to cluster ${peer.cluster} of organization ${peer.org}.`,
      next: "Use the state folder of the cluster that this data plane was enrolled as.",
    },
    { reason: "wrong_cluster" },
  );
}

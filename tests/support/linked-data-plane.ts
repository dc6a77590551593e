/** The data plane's end of the link, of real parts, connected to a control plane of a few lines. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@biplane/base";
import {
  EnrollmentService,
  IndexService,
  type Intent,
  IntentOutcome,
  LinkService,
} from "@biplane/control-wire";
import {
  createConnectServer,
  createRootAuthority,
  issueCertificate,
  listen,
  newKey,
  serverCloser,
} from "@biplane/kit";
import type { ServiceImpl } from "@connectrpc/connect";
import { openLedger, startLink, writeEnrollment } from "../../planes/data/link/index.ts";
import { quiet } from "./control-plane.ts";
import { MemoryOutbox } from "./memory-outbox.ts";
import { noDocuments } from "./no-documents.ts";
import { NotedAudit } from "./noted-audit.ts";
import { type Behaviour, inOrder } from "./scripted-control-plane.ts";

const hour = 3_600_000;

export interface Answers {
  readonly index?: Partial<ServiceImpl<typeof IndexService>>;
  readonly enrollment?: Partial<ServiceImpl<typeof EnrollmentService>>;
}

/** A link to a control plane that behaves so. Every stream opens anew with the same behaviour. */
export async function linkToControlPlane(behaviour: Behaviour, answers: Answers = {}) {
  const folder = await mkdtemp(join(tmpdir(), "biplane-hostile-"));
  const root = await createRootAuthority("provider", hour);
  const issue = (uses: "server" | "client") =>
    issueCertificate(root, { commonName: "localhost", hosts: ["localhost"], uses: [uses], lifetimeMs: hour });
  const server = createConnectServer({
    tls: {
      identity: await issue("server"),
      clientAuthorityPem: root.certificatePem,
      clientCertificateOptional: true,
    },
    routes: (router) => {
      router.service(LinkService, { connect: inOrder(behaviour) });
      router.service(IndexService, answers.index ?? {});
      router.service(EnrollmentService, answers.enrollment ?? {});
    },
  });
  const closer = serverCloser(server, 50);
  const port = await listen(server, 0, "127.0.0.1");
  const identity = await issue("client");
  await writeEnrollment(folder, {
    org: "acme",
    cluster: "home",
    identity,
    providerRootPem: root.certificatePem,
    linkAddress: `localhost:${port}`,
    edgeAddress: "",
    addresses: {},
    controlPlaneRegion: "",
  });
  const outbox = new MemoryOutbox();
  const ledger = await openLedger({ folder: join(folder, "ledger"), key: newKey() });
  const intents: Intent[] = [];
  const audit = new NotedAudit();
  const records = audit.linkRecords();
  /** What was refused, in the words for people: the audit log takes nothing of the message over. */
  const refusals: string[] = [];
  const link = await startLink({
    enrollmentFolder: folder,
    outbox,
    ledger,
    intents: {
      acceptIntent: async (intent) => {
        intents.push(intent);
        return IntentOutcome.ACCEPTED;
      },
    },
    records: {
      ...records,
      refused: (error) => {
        refusals.push(error.text.what);
        return records.refused(error);
      },
    },
    documents: noDocuments,
    tokens: { controlToken: async () => new Secret("token") },
    hello: { routerAddress: "", region: "", softwareVersion: "" },
    log: quiet,
  });
  const close = async () => {
    await link.close();
    await ledger.close();
    await closer.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { link, outbox, ledger, intents, audit, refusals, root, identity, port, folder, close };
}

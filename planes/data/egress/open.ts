/** The tasks' way out, put together with what the plane keeps and dials by. */
import type { ServingCertificate } from "../identity/certificates.ts";
import type { OpenParts, Stores } from "../stores.ts";
import { TaskEgress } from "./proxy.ts";
import { Resolver } from "./resolver.ts";

export function openTaskEgress(
  { options }: Pick<OpenParts, "options">,
  { projectHosts, audit }: Pick<Stores, "projectHosts" | "audit">,
  serving: ServingCertificate,
): TaskEgress {
  const egress = new TaskEgress({
    hostsOf: (project) => projectHosts.of(project),
    resolve: new Resolver().resolve,
    connect: (address, port) => options.egress.connectFor(address, port),
    record: (input) => audit.record(input),
    identity: () => serving.identity,
    log: options.log,
  });
  projectHosts.onChange(() => egress.review());
  return egress;
}

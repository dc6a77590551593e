/** A cluster's documents for tests of the link that are about something else: there are none. */
import type { LinkOptions } from "../../planes/data/link/link.ts";

export const noDocuments: LinkOptions["documents"] = {
  own: () => [],
  onIssued: () => () => {},
  receive: async () => {},
};

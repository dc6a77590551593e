/** The live links by cluster. One cluster has one link: a newer connection ends the older one before it goes on. */
import type { SignedDocument } from "@biplane/control-wire";

export interface LiveLink {
  /** A later one of the same kind takes the place of one that still waits. */
  sendDocument(document: SignedDocument): void;
  /** Resolves when nothing of the link is at work any more. */
  end(reason: "replaced" | "shutdown"): Promise<void>;
}

export class LinkSessions {
  readonly #links = new Map<string, LiveLink>();
  #closed = false;

  /**
   * Resolves when every older link of the cluster has ended: what one of them was still applying is on record. Of
   * several that come together each waits for the one before it.
   */
  async enter(org: string, cluster: string, link: LiveLink): Promise<void> {
    const key = `${org}/${cluster}`;
    const older = this.#links.get(key);
    this.#links.set(key, link);
    // Not awaited: the link's end waits for its work, which waits here.
    if (this.#closed) void link.end("shutdown");
    await older?.end("replaced");
  }

  leave(org: string, cluster: string, link: LiveLink): void {
    const key = `${org}/${cluster}`;
    if (this.#links.get(key) === link) this.#links.delete(key);
  }

  find(org: string, cluster: string): LiveLink | undefined {
    return this.#links.get(`${org}/${cluster}`);
  }

  /** The live links of all clusters of an organization. */
  *of(org: string): Generator<LiveLink> {
    for (const [key, link] of this.#links) if (key.startsWith(`${org}/`)) yield link;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(links.map((link) => link.end("shutdown")));
  }
}

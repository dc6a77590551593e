/** One stream per parent that tells how its sub-actions fare. It is opened again whenever it ends. */
import type { children } from "@biplane/data-wire";
import { backoffMs, sleep } from "@biplane/kit/backoff";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";

const failuresInRowMax = 40;

export interface WatchOptions {
  readonly client: Client<typeof children.ChildrenService>;
  readonly request: MessageInitShape<typeof children.WatchRequestSchema>;
  readonly ended: AbortSignal;
  readonly onUpdate: (update: children.ChildUpdate) => void;
  /** Every sub-action that existed was told. */
  readonly onSnapshotEnd: () => void;
}

/** Resolves when `ended` aborts; rejects when the stream fails again and again. */
export async function watchChildren(options: WatchOptions): Promise<void> {
  let failures = 0;
  while (!options.ended.aborted) {
    try {
      await followStream(options, () => {
        failures = 0;
      });
    } catch (error) {
      if (options.ended.aborted) return;
      failures += 1;
      if (failures >= failuresInRowMax) throw ConnectError.from(error);
    }
    await sleep(backoffMs(failures, { firstMs: 200, lastMs: 10_000 }), options.ended);
  }
}

async function followStream(options: WatchOptions, onMessage: () => void): Promise<void> {
  for await (const message of options.client.watch(options.request, { signal: options.ended })) {
    onMessage();
    for (const update of message.updates) options.onUpdate(update);
    if (message.snapshotEnd) options.onSnapshotEnd();
  }
}

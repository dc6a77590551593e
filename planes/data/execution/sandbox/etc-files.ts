/** The few files below /etc that a sandbox has of its own. They name nobody of this machine. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const files = {
  passwd: "root:x:0:0:root:/root:/usr/sbin/nologin\ntask:x:65534:65534:task:/tmp:/bin/sh\n",
  group: "root:x:0:\ntask:x:65534:\n",
  hosts: "127.0.0.1 localhost\n::1 localhost\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
};

/** Writes them into the folder, readable by any sandbox. */
export function writeEtcFiles(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), content, { mode: 0o644 });
}

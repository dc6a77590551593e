import { Secret } from "@biplane/base";
import { expect, test } from "vitest";
import { openUnderPassphrase, sealUnderPassphrase } from "./passphrase-seal.ts";

const passphrase = new Secret("correct horse battery staple");
const content = new TextEncoder().encode("what must not be read by others");
const kind = "biplane-test-file";
const sealed = await sealUnderPassphrase(passphrase, kind, content);

test("what was sealed opens under the same passphrase, and shows nothing without it", async () => {
  expect(await openUnderPassphrase(passphrase, kind, sealed)).toEqual(content);
  expect(Buffer.from(sealed).includes(Buffer.from(content))).toBe(false);
  const again = await sealUnderPassphrase(passphrase, kind, content);
  expect(Buffer.from(again)).not.toEqual(Buffer.from(sealed));
});

test("another passphrase opens nothing", async () => {
  const other = new Secret("correct horse battery stapler");
  await expect(openUnderPassphrase(other, kind, sealed)).rejects.toMatchObject({ code: "permission_denied" });
});

test("a flipped byte anywhere, a cut or a longer file is refused", async () => {
  const header = sealed.indexOf(0x0a) + 1;
  const positions = [
    0,
    5,
    header - 10,
    header - 1,
    header,
    header + 4,
    sealed.length - 17,
    sealed.length - 1,
  ];
  for (const position of positions) {
    const flipped = sealed.slice();
    flipped[position]! ^= 0x01;
    await expect(openUnderPassphrase(passphrase, kind, flipped), `byte ${position}`).rejects.toMatchObject({
      code: expect.stringMatching(/^(permission_denied|invalid_argument)$/),
    });
  }
  for (const length of [0, 1, header - 1, header, header + 8, sealed.length - 1]) {
    const cut = openUnderPassphrase(passphrase, kind, sealed.subarray(0, length));
    await expect(cut, `${length} bytes`).rejects.toMatchObject({ name: "BiplaneError" });
  }
  const longer = new Uint8Array([...sealed, 0]);
  await expect(openUnderPassphrase(passphrase, kind, longer)).rejects.toMatchObject({
    code: "permission_denied",
  });
});

test("a header that asks for endless memory or for little work is refused before any work", async () => {
  for (const memoryKiB of [2 ** 31, 8]) {
    const text = Buffer.from(sealed).toString("latin1");
    const forged = Buffer.from(text.replace(/"memoryKiB":\d+/, `"memoryKiB":${memoryKiB}`), "latin1");
    await expect(openUnderPassphrase(passphrase, kind, forged)).rejects.toMatchObject({
      code: "invalid_argument",
    });
  }
  await expect(openUnderPassphrase(passphrase, "another-kind", sealed)).rejects.toMatchObject({
    code: "invalid_argument",
  });
});

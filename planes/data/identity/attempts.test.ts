/** Guessing is slowed down, and the right person still gets in. */
import { expect, test } from "vitest";
import { AddressBudget, AttemptLimiter, passwordBudgets } from "./attempts.ts";

const windowMs = 15 * 60_000;
let now = 0;
const clock = { now: () => now };
const right = async () => "ada";
const wrong = async () => undefined;

function from(address: string, name = "ada", knownBrowser?: string) {
  return passwordBudgets({ name, address, knownBrowser });
}

async function outcome(work: Promise<string | undefined>): Promise<string> {
  return work.then(
    (result) => result ?? "wrong",
    (error: { code: string }) => error.code,
  );
}

test("ten failures for a name at an address end the tries there, for a while", async () => {
  const limiter = new AttemptLimiter(clock);
  for (let count = 0; count < 10; count += 1) {
    expect(await outcome(limiter.attempt(from("192.0.2.1"), wrong))).toBe("wrong");
  }
  expect(await outcome(limiter.attempt(from("192.0.2.1"), right))).toBe("resource_exhausted");
  // The person elsewhere is not hindered by one guesser.
  expect(await outcome(limiter.attempt(from("192.0.2.2"), right))).toBe("ada");
  now += windowMs;
  expect(await outcome(limiter.attempt(from("192.0.2.1"), right))).toBe("ada");
});

test("an address that tries many names is stopped, and so is its whole IPv6 network", async () => {
  const limiter = new AttemptLimiter(clock);
  for (let count = 0; count < 30; count += 1) {
    await limiter.attempt(from(`2001:db8::${count}`, `name ${count}`), wrong);
  }
  expect(await outcome(limiter.attempt(from("2001:db8::ffff", "bob"), right))).toBe("resource_exhausted");
  expect(await outcome(limiter.attempt(from("2001:db8:0:1::1", "bob"), right))).toBe("ada");
});

test("guessing from everywhere does not lock the person out of a browser that they know", async () => {
  const limiter = new AttemptLimiter(clock);
  for (let count = 0; count < 50; count += 1) {
    await limiter.attempt(from(`198.51.100.${count}`), wrong);
  }
  expect(await outcome(limiter.attempt(from("203.0.113.1"), right))).toBe("resource_exhausted");
  expect(await outcome(limiter.attempt(from("203.0.113.1", "ada", "known"), right))).toBe("ada");
});

test("tries that wait while others fail don't slip through", async () => {
  const limiter = new AttemptLimiter(clock);
  let checks = 0;
  const slow = async () => {
    checks += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return undefined;
  };
  const tries = Array.from({ length: 36 }, () => outcome(limiter.attempt(from("192.0.2.9"), slow)));
  await Promise.all(tries);
  expect(checks).toBeLessThan(10 + 4);
});

test("twenty wrong device codes of an address end its tries", () => {
  const limiter = new AttemptLimiter(clock);
  const codes = new AddressBudget(limiter, "device code", 20);
  const from = (remoteAddress: string) => ({ socket: { remoteAddress } });
  for (let count = 0; count < 20; count += 1) codes.count(from("192.0.2.1"));
  expect(codes.isSpent(from("192.0.2.1"))).toBe(true);
  expect(codes.isSpent(from("192.0.2.2"))).toBe(false);
  expect(new AddressBudget(limiter, "invitation", 20).isSpent(from("192.0.2.1"))).toBe(false);
});

/** What a project's tasks may connect to, as an administrator writes it: a name, an address or a network, and a port. */
import { BlockList, isIPv4 } from "node:net";
import { BiplaneError } from "@biplane/base";
import { canonicalAddress, isIn, kindOf } from "./addresses.ts";

export interface AllowedHost {
  /** A name in lower case, or an address in one spelling. */
  readonly host: string;
  readonly port: number;
  /** Of addresses: how many of its bits count; undefined for names. */
  readonly bits: number | undefined;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

const httpsPort = 443;
const nameLengthMax = 253;
/** Networks that are wider than what somebody runs are a list that allows everything. */
const bitsMin = { ipv4: 8, ipv6: 32 };

const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** `1`, `0x7f`: resolvers read names that end so as addresses. */
const numeric = /^(\d+|0x[0-9a-f]*)$/;

/** `HOST[:PORT]`; 443 where no port is given. Throws `invalid_argument`. */
export function parseAllowedHost(text: string): AllowedHost {
  const { host, bits, port } = split(text);
  const target = parseTarget(host, port ?? String(httpsPort));
  if (target === undefined) throw notAHost(text, "A host is a name, an address, or a network of addresses.");
  const isName = canonicalAddress(target.host) === undefined;
  if (isName && bits === undefined) return { ...target, bits: undefined };
  const { family, all } = isIPv4(target.host)
    ? ({ family: "ipv4", all: 32 } as const)
    : ({ family: "ipv6", all: 128 } as const);
  const counted = bits === undefined ? all : Number(bits);
  if (isName || counted > all || counted < bitsMin[family]) {
    throw notAHost(text, `A network is written as 10.1.0.0/16, with ${bitsMin[family]} to ${all} bits.`);
  }
  if (kindOf(target.host) === "forbidden") {
    throw notAHost(text, "No task may reach link-local, metadata, multicast and reserved addresses.");
  }
  return { ...target, bits: counted };
}

export function formatAllowedHost({ host, port, bits }: AllowedHost): string {
  const all = isIPv4(host) ? 32 : 128;
  const network = bits === undefined || bits === all ? host : `${host}/${bits}`;
  return host.includes(":") ? `[${network}]:${port}` : `${network}:${port}`;
}

/** A host and a port as a task names them; undefined for what is neither a name nor an address. */
export function parseTarget(hostText: string, portText: string): Target | undefined {
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535) return undefined;
  const bare = hostText.startsWith("[") && hostText.endsWith("]") ? hostText.slice(1, -1) : hostText;
  const address = canonicalAddress(bare);
  if (address !== undefined) return { host: address, port };
  const name = bare.toLowerCase().replace(/\.$/, "");
  return isName(name) ? { host: name, port } : undefined;
}

/** `host:port`, as CONNECT has it (RFC 9110 section 9.3.6). */
export function parseAuthority(text: string): Target | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(text);
  return match === null ? undefined : parseTarget(match[1]!, match[2]!);
}

/** Whether the list has the target as it was named. */
export function allowsTarget(list: readonly AllowedHost[], { host, port }: Target): boolean {
  if (canonicalAddress(host) !== undefined) return allowsAddress(list, host, port);
  return list.some((one) => one.bits === undefined && one.host === host && one.port === port);
}

/** Of a name's addresses: the public ones, and those that the list has as addresses. */
export function mayDial(list: readonly AllowedHost[], address: string, port: number): boolean {
  const kind = kindOf(address);
  return kind === "public" || (kind === "own" && allowsAddress(list, address, port));
}

function allowsAddress(list: readonly AllowedHost[], address: string, port: number): boolean {
  return (
    kindOf(address) !== "forbidden" &&
    list.some((one) => one.bits !== undefined && one.port === port && isIn(networkOf(one), address))
  );
}

function networkOf({ host, bits }: AllowedHost): BlockList {
  const network = new BlockList();
  network.addSubnet(host, bits ?? 0, isIPv4(host) ? "ipv4" : "ipv6");
  return network;
}

function isName(name: string): boolean {
  if (name.length > nameLengthMax) return false;
  const labels = name.split(".");
  return labels.every((one) => label.test(one)) && !numeric.test(labels.at(-1) ?? "");
}

function split(text: string): { host: string; bits: string | undefined; port: string | undefined } {
  const match = /^(?:\[([^\]/]+)(?:\/(\d{1,3}))?\]|([^:/[\]]+)(?:\/(\d{1,3}))?)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw notAHost(text, "It is neither HOST nor HOST:PORT.");
  return { host: match[1] ?? match[3] ?? "", bits: match[2] ?? match[4], port: match[5] };
}

function notAHost(text: string, why: string): BiplaneError {
  return new BiplaneError(
    "invalid_argument",
    {
      what: `${JSON.stringify(text.slice(0, 80))} can't be allowed as a host.`,
      why,
      next: "Write api.example.com, api.example.com:8443, 10.1.2.3:5432, 10.1.0.0/16:5432 or [fd12::1]:443.",
    },
    { reason: "host_invalid" },
  );
}

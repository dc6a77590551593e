/**
 * What an address leads to, for connections of tasks: the public, something of the customer's own that has to be named as
 * such, or what no task may reach. Names are judged by what they resolve to, since a name can be made to resolve to anything.
 */
import { BlockList, isIP, isIPv4 } from "node:net";

export type AddressKind = "public" | "own" | "forbidden";

/** https://www.iana.org/assignments/iana-ipv4-special-registry and its counterpart for IPv6, and what clouds add. */
const forbidden = listOf([
  ...["0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24"],
  // Link-local, where clouds keep the machine's own credentials; multicast, reserved and broadcast.
  ...["169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"],
  // Metadata and agents of clouds that are not link-local: Alibaba, Azure, Amazon, Google.
  ...["100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::/32"],
  // Tunnels of IPv4 in IPv6, which would hide the address that they lead to; documentation.
  ...["2001::/32", "2002::/16", "2001:db8::/32", "3fff::/20", "64:ff9b:1::/48"],
]);
/** Loopback, private networks, shared address space, benchmarks, unique local addresses. */
const own = listOf([
  ...["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15"],
  ...["::1/128", "fc00::/7"],
]);
/** Of all of IPv6 only this is given out. */
const global6 = listOf(["2000::/3"]);

const mapped = "::ffff:";
const translated = "64:ff9b::";

/** The same address in one spelling; IPv4 in IPv6's clothes as IPv4. Undefined for what is no address. */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (isIP(text) !== 6 || text.includes("%")) return undefined;
  const address = new URL(`http://[${text}]`).hostname.slice(1, -1);
  return address.startsWith(mapped) ? embedded(address) : address;
}

/** Of an address as `canonicalAddress` gives it. */
export function kindOf(address: string): AddressKind {
  // RFC 6052: where there is no IPv4, whatever it leads to is what the last 32 bits say.
  if (address.startsWith(translated)) return kindOf(embedded(address));
  if (isIn(forbidden, address)) return "forbidden";
  if (isIn(own, address)) return "own";
  return isIPv4(address) || isIn(global6, address) ? "public" : "forbidden";
}

export function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits), isIPv4(address) ? "ipv4" : "ipv6");
  }
  return list;
}

/** Its last 32 bits. */
function embedded(address: string): string {
  const [high = "", low = ""] = address.split(":").slice(-2);
  const bits = Number.parseInt(high || "0", 16) * 0x1_00_00 + Number.parseInt(low || "0", 16);
  return [24, 16, 8, 0].map((shift) => (bits / 2 ** shift) & 0xff).join(".");
}

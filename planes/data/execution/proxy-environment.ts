/** How programs in a sandbox find their way out: by the variables that HTTP clients go by, Node's own among them. */

/** On the sandbox's own loopback; worker or first process listen there. */
export const proxyPort = 3_128;

/** Names to which no proxy leads. */
export function ownHosts(endpoints: {
  readonly routerEndpoint: string;
  readonly storeEndpoint: string;
}): string[] {
  return [endpoints.routerEndpoint, endpoints.storeEndpoint].map((url) => new URL(url).hostname);
}

export function proxyEnvironment(without: readonly string[]): Readonly<Record<string, string>> {
  const proxy = `http://127.0.0.1:${proxyPort}`;
  const direct = [...new Set(["localhost", "127.0.0.1", "::1", ...without])].join(",");
  return {
    BIPLANE_EGRESS: String(proxyPort),
    HTTPS_PROXY: proxy,
    HTTP_PROXY: proxy,
    https_proxy: proxy,
    http_proxy: proxy,
    NO_PROXY: direct,
    no_proxy: direct,
  };
}

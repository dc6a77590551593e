/** How programs in a sandbox find their way out: by the variables that HTTP clients go by, Node's own among them. */

/** On the sandbox's own loopback; the worker listens there. */
const port = 3_128;

export function proxyEnvironment(ownHosts: readonly string[]): Readonly<Record<string, string>> {
  const proxy = `http://127.0.0.1:${port}`;
  const without = [...new Set(["localhost", "127.0.0.1", "::1", ...ownHosts])].join(",");
  return {
    BIPLANE_EGRESS: String(port),
    HTTPS_PROXY: proxy,
    HTTP_PROXY: proxy,
    https_proxy: proxy,
    http_proxy: proxy,
    NO_PROXY: without,
    no_proxy: without,
    // https://nodejs.org/api/cli.html#node_use_env_proxy1: then `fetch` and `node:https` go by them, too.
    NODE_USE_ENV_PROXY: "1",
  };
}

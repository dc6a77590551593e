/**
 * The tunnel's protocol versions, newest first, negotiated as TLS application protocols (RFC 7301): two sides that
 * share none fail in the handshake, before a byte of anybody's traffic has moved.
 *
 * 2026-11-21  After the TLS handshake that the connector started, the roles turn round: the edge is the HTTP/2 client
 *             and the connector the HTTP/2 server. One CONNECT request (RFC 9113, 8.5) carries one public connection;
 *             its `:authority` is the tunnel name. The request's data begins with a PROXY protocol v2 header, then
 *             come the client's bytes as they were received. 200 accepts; 404 means a name that is not served here.
 */
export const tunnelVersions = ["biplane-tunnel/2026-11-21"] as const;

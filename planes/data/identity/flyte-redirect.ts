/** What stock Flyte clients listen on while people sign in; other loopback ports work too (RFC 8252 section 7.3). */
export const flyteRedirectUri = "http://localhost:53593/callback";

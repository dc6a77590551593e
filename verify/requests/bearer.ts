/** Shows one token with every call, whatever it is. */
import type { Interceptor } from "@connectrpc/connect";

export function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

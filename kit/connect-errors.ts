import { BiplaneError, type ErrorCode, isBiplaneError } from "@biplane/base";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { codeFromString, codeToString } from "@connectrpc/connect/protocol-connect";

/** What a peer may see of a failure: a bare `internal` for everything that is not meant for people. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (!isBiplaneError(error))
    return new ConnectError("Something failed inside; the log has more.", Code.Internal);
  const metadata = error.reason === undefined ? undefined : { "biplane-reason": error.reason };
  return new ConnectError(error.message, codeFromString(error.code) ?? Code.Unknown, metadata);
}

/** The peer's failure as ours, its text kept. */
export function fromConnectError(error: unknown): BiplaneError {
  if (isBiplaneError(error)) return error;
  const connectError = ConnectError.from(error);
  const reason = connectError.metadata.get("biplane-reason") ?? undefined;
  return new BiplaneError(codeToString(connectError.code) as ErrorCode, connectError.rawMessage, {
    cause: error,
    ...(reason === undefined ? {} : { reason }),
  });
}

/** Outermost of a server's interceptors: whatever a service throws, now or while it streams, leaves as above. */
export const errorInterceptor: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: translateErrors(response.message) } : response;
  } catch (error) {
    throw toConnectError(error);
  }
};

async function* translateErrors<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}

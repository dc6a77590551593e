/** Device code (RFC 8628): the person enters a code on whatever device has a browser. */
import { discover, type PinnedHttp, type Profile, scope, signInFailure } from "@biplane/sdk/remote";
import * as oauth from "openid-client";

export async function signInByDevice(
  profile: Profile,
  http: PinnedHttp,
): Promise<oauth.TokenEndpointResponse> {
  const configuration = await discover(profile, http, profile.publicClientId);
  try {
    const device = await oauth.initiateDeviceAuthorization(configuration, { scope });
    process.stderr.write(
      `Open ${device.verification_uri} and enter the code ${device.user_code}\n(or open ${device.verification_uri_complete ?? device.verification_uri})\n`,
    );
    return await oauth.pollDeviceAuthorizationGrant(configuration, device);
  } catch (cause) {
    throw signInFailure(profile, cause);
  }
}

// Drives Pipedrive's own Node.js client; ../oauth_clients.py starts it and says what it reads and prints.
import { createInterface } from "node:readline";
import { Configuration, OAuth2Configuration, UsersApi } from "pipedrive/v1";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const nextLine = async () => (await input.next()).value;

const settings = JSON.parse(await nextLine());
const client = (clientSecret) =>
  new OAuth2Configuration({
    clientId: settings.client_id,
    clientSecret,
    redirectUri: settings.redirect_uri,
    host: settings.base_url,
  });
const oauth = client(settings.client_secret);
const api = () =>
  new UsersApi(new Configuration({ accessToken: oauth.getAccessToken, basePath: oauth.basePath }));
const nameOfUser = async () => (await api().getCurrentUser()).data.name;
const outcome = async (promise) => promise.then(() => "accepted", (body) => body.error);
const refreshWith = (clientSecret, refresh_token) => {
  const other = client(clientSecret);
  other.updateToken({ refresh_token });
  return outcome(other.tokenRefresh());
};

console.log(`VISIT ${oauth.authorizationUrl}`);
const first = await oauth.authorize(new URL(await nextLine()).searchParams.get("code"));
const user = await nameOfUser();

const second = await oauth.tokenRefresh();
const replaced_token = await refreshWith(settings.client_secret, first.refresh_token);
const wrong_secret = await refreshWith(`${settings.client_secret}x`, second.refresh_token);
if ((await nameOfUser()) !== user) throw new Error("another user after the refresh");

await oauth.revokeToken("refresh_token");
if ((await outcome(nameOfUser())) === "accepted") {
  throw new Error("the access token outlived the revocation of the grant");
}
if ((await outcome(oauth.tokenRefresh())) !== "invalid_grant") {
  throw new Error("the refresh token outlived its revocation");
}

const refreshed =
  second.access_token !== first.access_token && second.refresh_token !== first.refresh_token;
const learned = { user, scope: second.scope, refreshed, replaced_token, wrong_secret };
console.log(`DONE ${JSON.stringify(learned)}`);
// Open connections and the open input would keep it running.
process.exit(0);

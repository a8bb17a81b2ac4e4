// Drives Pipedrive's own Node.js client; see ../journeys.py for what it reads and prints.
import { createInterface } from "node:readline";
import { Configuration, OAuth2Configuration, UsersApi } from "pipedrive/v1";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const nextLine = async () => (await input.next()).value;

const settings = JSON.parse(await nextLine());
const oauth = new OAuth2Configuration({
  clientId: settings.client_id,
  clientSecret: settings.client_secret,
  redirectUri: settings.redirect_uri,
  host: settings.base_url,
});
const api = () =>
  new UsersApi(new Configuration({ accessToken: oauth.getAccessToken, basePath: oauth.basePath }));
const nameOfUser = async () => (await api().getCurrentUser()).data.name;

console.log(`VISIT ${oauth.authorizationUrl}`);
const first = await oauth.authorize(new URL(await nextLine()).searchParams.get("code"));
const user = await nameOfUser();

const second = await oauth.tokenRefresh();
if ((await nameOfUser()) !== user) throw new Error("another user after the refresh");

await oauth.revokeToken("refresh_token");
const outcome = async (promise) => promise.then(() => "accepted", (body) => body.error);
if ((await outcome(nameOfUser())) === "accepted") {
  throw new Error("the access token outlived the revocation of the grant");
}
const refusal = await outcome(oauth.tokenRefresh());

const renewed =
  second.access_token !== first.access_token && second.refresh_token !== first.refresh_token;
console.log(`DONE ${JSON.stringify({ user, scope: second.scope, renewed, refusal })}`);
// Open connections and the open input would keep it running.
process.exit(0);

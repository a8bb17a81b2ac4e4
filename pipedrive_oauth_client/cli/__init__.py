"""The command `pipedrive-oauth`: log in, look, get a token for a script, renew, revoke.

It needs the extra `cli`. `app` has the commands and their options, and imports nothing that they
need, so that `--help` is quick. What each of them does is in `login`, `status`, `tokens`,
`renewals`, `revoking` and `sandbox_run`; what they share is in `settings` (the app's credentials),
`places` (the store), `terminal` (what is written and asked), `exits` (exit codes) and `reports`
(what is said when it goes wrong). `docs/command-line.md` is the manual.
"""

"""The command `pipedrive-oauth`: log in, show accounts, print tokens, refresh and revoke them.

It needs the extra `cli`. `app` has the commands with their options and imports nothing else, so
that `--help` is quick; `main` runs a command and turns errors and signals into exit codes
(`exit_codes`). `login` (with `callback_server`), `accounts` and `status` do the
work. They share `options`, `settings` (the app's credentials), `store_url` (where tokens are kept)
and `output` (the terminal). The manual is `docs/command-line.md`.
"""

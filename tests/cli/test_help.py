"""Help, shell completion, the variables of options, and invalid command lines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.cli.app import app
from pipedrive_oauth_client.cli.exit_codes import ExitCode
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import Ran

Run = Callable[..., Ran]
GROUP: Any = typer.main.get_command(app)
COMMANDS = [
    "check",
    "login",
    "status",
    "token",
    "header",
    "refresh",
    "revoke",
    "delete",
    "whoami",
    "copy",
    "rotate",
    "sandbox",
]
EXPENSIVE = {
    "httpx",
    "sqlalchemy",
    "redis",
    "starlette",
    "uvicorn",
    "rich",
    "cryptography",
    "dotenv",
}


def python(program: str, **variables: str) -> str:
    """Run a program in a fresh interpreter, and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["login", "-h"]])
def test_help_imports_nothing_expensive(arguments: list[str]) -> None:
    """Help is shown without importing what the commands need."""
    program = (
        "import sys\n"
        "from pipedrive_oauth_client.cli.__main__ import main\n"
        f"code = main({arguments!r})\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        f"print('EXPENSIVE', code, sorted(names & {EXPENSIVE!r}))\n"
    )
    assert python(program).splitlines()[-1] == "EXPENSIVE 0 []"


def test_expensive_imports_are_detected() -> None:
    """The check above detects what another command imports."""
    program = (
        "import sys\n"
        "from pipedrive_oauth_client.cli.__main__ import main\n"
        "main(['token', '--store', 'memory:'])\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {EXPENSIVE!r}))\n"
    )
    assert "'httpx'" in python(program)


def test_commands() -> None:
    """There are twelve commands, and each of them is tested below."""
    assert list(GROUP.commands) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples(run: Run, name: str) -> None:
    """The help of each command has an example that begins with the command itself."""
    ran = run(name, "--help")
    assert ran.code == 0
    assert "Example" in ran.out
    assert f"pipedrive-oauth {name}" in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_variable(name: str) -> None:
    """Each option and argument can be set in the environment, by a name of its own."""
    own = [each for each in GROUP.commands[name].params if each.name != "help"]
    given = [each.envvar for each in own]
    variables = [each[0] if isinstance(each, list) else each for each in given]
    assert all(str(each).startswith("PIPEDRIVE_") for each in variables)
    assert len(set(variables)) == len(variables)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_takes_a_secret(name: str) -> None:
    """No option's value is a secret."""
    options = {option for each in GROUP.commands[name].params for option in each.opts}
    assert not options & {"--client-secret", "--secret", "--key", "--keys", "--password", "--token"}


@pytest.mark.parametrize("columns", [40, 80])
def test_summaries_are_not_cut(run: Run, columns: int) -> None:
    """The list of commands says of each what it does, in full at any width."""
    ran = run("--help", COLUMNS=str(columns))
    listing = ran.out.partition("Commands:\n")[2].partition("Exit codes")[0]
    assert "..." not in listing
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z]", listing, re.MULTILINE)
    assert " ".join(listing.split()).count(".") == len(COMMANDS)


@pytest.mark.parametrize("columns", [40, 52, 80])
@pytest.mark.parametrize("command", [[], ["check"], ["refresh"]], ids="".join)
def test_help_fits_the_terminal(run: Run, columns: int, command: list[str]) -> None:
    """No line of prose, options or exit codes is wider than the terminal; examples may be."""
    out = run(*command, "--help", COLUMNS=str(columns)).out
    prose = re.sub(r"  (Examples?|States):\n(    .*\n)+", "", out)
    assert [line for line in prose.splitlines() if len(line) > columns] == []


def test_exit_codes_are_in_the_help(run: Run) -> None:
    """`--help` lists each exit code with its meaning."""
    out = run("--help", COLUMNS="100").out
    for code in ExitCode:
        assert f"  {int(code):<4} {code.meaning}" in out


@pytest.mark.parametrize("columns", [40, 200])
def test_help_does_not_show_what_is_set(run: Run, columns: int) -> None:
    """The help does not show values of the environment."""
    ran = run(
        "status", "--help", COLUMNS=str(columns), PIPEDRIVE_OAUTH_STORE="redis://:planted@h/0"
    )
    assert ran.code == 0
    assert "planted" not in ran.out


def test_wrong_command_line(run: Run) -> None:
    """An invalid command line is code 2 in one line, which repeats no argument."""
    for arguments in (["header", "planted", "twice"], ["bogus"], ["login", "--timeout", "0"]):
        ran = run(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("Error: ")
        assert ran.err.count("\n") == 1
        assert "planted" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--bogus"], "No such option: --bogus"),
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["PLANTED-0"], "No such command."),
        (["token", "--client-secretPLANTED"], "No such option: --client-secret"),
        # The rest of these messages differs between versions of Typer.
        (["login", "--timeout", "PLANTED"], "Invalid value for '--timeout' (env var: "),
        (["login", "--timeout", "424242"], "Invalid value for '--timeout' (env var: "),
        (["sandbox", "--port", "a): PLANTED"], "Invalid value for '--port' (env var: "),
    ],
)
def test_wrong_command_line_in_json(run: Run, arguments: list[str], message: str) -> None:
    """With --json the error is JSON, wherever the command line is wrong, and repeats no value."""
    for ran in (run(*arguments, "--json"), run(*arguments, PIPEDRIVE_OAUTH_JSON="yes")):
        assert (ran.code, ran.out) == (2, "")
        error = json.loads(ran.err)["error"]
        assert (error["reason"], error["exit_code"]) == ("usage", 2)
        assert message in error["message"]
        assert not [each for each in ("PLANTED", "424242") if each in ran.err]


def test_wrong_value_in_the_environment(run: Run) -> None:
    """An invalid value of a variable is not repeated."""
    ran = run("login", PIPEDRIVE_OAUTH_TIMEOUT="PLANTED")
    assert ran.code == 2
    assert "PIPEDRIVE_OAUTH_TIMEOUT" in ran.err
    assert "PLANTED" not in ran.err


def test_completion_can_be_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """--show-completion succeeds."""
    # Typer detects the shell that has started the tests.
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    ran = run("--show-completion", "bash")
    assert (ran.code, ran.err) == (0, "")
    assert "_PIPEDRIVE_OAUTH_COMPLETE" in ran.out


def test_ctrl_c_during_the_start() -> None:
    """Ctrl-C during the imports is code 130 without a traceback."""
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.endswith('.main'):\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from pipedrive_oauth_client.cli.__main__ import main\n"
        "print(main(['status']))\n"
    )
    assert python(program) == "130\n"


def test_missing_extra_is_named() -> None:
    """Without Typer the error names the extra to install."""
    program = (
        "import sys\n"
        "sys.modules['typer'] = None\n"
        "sys.stderr = sys.stdout\n"
        "from pipedrive_oauth_client.cli.__main__ import main\n"
        "print(main(['status']))\n"
    )
    assert python(program).splitlines() == [
        "Error: pipedrive-oauth needs the extra `cli`: pip install 'pipedrive-oauth-client[cli]'.",
        "2",
    ]


def completed(words: str, **variables: str) -> list[str]:
    """Return what bash offers after some words."""
    done = subprocess.run(
        [sys.executable, "-m", "pipedrive_oauth_client.cli"],
        env={
            **os.environ,
            "_PIPEDRIVE_OAUTH_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_shell_completion(
    folder: Path, store: FileTokenStore, granted: Callable[[], Token]
) -> None:
    """Commands, options, and the accounts of a file store are completed."""
    token = granted()
    for name in ("acme", "apex", "globex"):
        store.save(name, token)
    assert completed("pipedrive-oauth re") == ["refresh", "revoke"]
    assert completed("pipedrive-oauth delete a", PIPEDRIVE_OAUTH_STORE=folder.as_uri()) == [
        "acme",
        "apex",
    ]
    assert "--older-than" in completed("pipedrive-oauth refresh --")
    url = folder.as_uri()
    assert completed("pipedrive-oauth token a", PIPEDRIVE_OAUTH_STORE=url) == ["acme", "apex"]
    assert completed(f"pipedrive-oauth token --store {url} g") == ["globex"]


def test_completion_offers_only_safe_names(
    folder: Path, store: FileTokenStore, granted: Callable[[], Token]
) -> None:
    """A name that a shell could expand or run is not offered; the others are."""
    token = granted()
    safe = ["1:11", "a-b", "a.b_c", "acme", "user@acme+1"]
    odd = [
        r"acme\$(command)",
        "acme$(command)",
        "acme`command`",
        "a;b",
        "a b",
        "a'b",
        'a"b',
        "a&b",
        "a|b",
        "a>b",
        "a*",
        "a\\b",
        "~acme",
        "=acme",
        "-acme",
        "société",
        "a(b",
        "a!b",
        "a#b",
    ]
    for name in (*safe, *odd):
        store.save(name, token)
    found = completed("pipedrive-oauth token ", PIPEDRIVE_OAUTH_STORE=folder.as_uri())
    assert found == safe


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "nonsense", "file://{}/none"])
def test_completion_connects_to_nothing_and_creates_nothing(tmp_path: Path, url: str) -> None:
    """Completion reads no other kind of store, and creates no folder."""
    url = url.format(tmp_path)
    assert completed("pipedrive-oauth token a", PIPEDRIVE_OAUTH_STORE=url) == []
    assert list(tmp_path.iterdir()) == []

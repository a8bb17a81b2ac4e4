"""What `import pipedrive_oauth_client` gives, and what it does not do."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
from packaging.version import Version

import pipedrive_oauth_client as package

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ("sync", "sync_detailed", "asyncio", "asyncio_detailed")
ENDPOINTS = {
    "authorize": {"client", "client_id", "redirect_uri", "state"},
    "get_tokens": {"client", "authorization", "body"},
    "refresh_tokens": {"client", "authorization", "body"},
    "revoke_tokens": {"client", "authorization", "body"},
}


def test_readme_line_works() -> None:
    """The names of the first example are there."""
    from pipedrive_oauth_client import (  # noqa: PLC0415
        Client,
        GetTokensRequest,
        basic_auth_header,
        get_tokens,
    )

    assert Client().base_url == "https://oauth.pipedrive.com"
    assert GetTokensRequest(code="x").to_dict()["code"] == "x"
    assert basic_auth_header("a", "b").startswith("Basic ")
    assert callable(get_tokens.sync)


def place(name: str) -> tuple[int, str]:
    """Give the place of a name in a sorted `__all__`: constants, classes, the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_all_is_sorted_and_holds_no_name_twice() -> None:
    """`__all__` can be read by people."""
    assert package.__all__ == sorted(set(package.__all__), key=place)


def test_all_is_complete() -> None:
    """Everything public that the package gives is in `__all__`, its submodules apart."""
    given = {name: getattr(package, name) for name in dir(package)}
    public = {
        name
        for name, value in given.items()
        if not name.startswith(("_", "@"))  # pytest leaves names with an @ in what it loads
        and not (isinstance(value, ModuleType) and value.__name__ == f"{package.__name__}.{name}")
    }
    assert (public - {"TYPE_CHECKING"}) | {"__version__"} == set(package.__all__)


@pytest.mark.parametrize("name", package.__all__)
def test_name_can_be_imported(name: str) -> None:
    """Each name of `__all__` is one of the package."""
    namespace: dict[str, Any] = {}
    exec(f"from {package.__name__} import {name}", namespace)  # noqa: S102
    assert namespace[name] is getattr(package, name)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoint_has_the_promised_signature(name: str, function: str) -> None:
    """Each endpoint module has four functions, two of them async, that take only keywords."""
    called = getattr(getattr(package, name), function)
    parameters = inspect.signature(called).parameters
    assert parameters.keys() == ENDPOINTS[name]
    assert {each.kind for each in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    optional = {key for key, each in parameters.items() if each.default is not each.empty}
    assert optional == ENDPOINTS[name] & {"state"}
    assert inspect.iscoroutinefunction(called) is function.startswith("asyncio")


def test_credentials_have_the_promised_signatures() -> None:
    """The hand-written names take what the documentation says, in that order."""
    parameters = inspect.signature(package.basic_auth_header).parameters
    assert list(parameters) == ["client_id", "client_secret", "form_encode"]
    assert parameters["form_encode"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["form_encode"].default is False
    fields = list(inspect.signature(package.AppCredentials).parameters)
    assert fields == ["client_id", "client_secret", "redirect_uri"]
    assert isinstance(inspect.getattr_static(package.AppCredentials, "from_env"), classmethod)
    assert isinstance(inspect.getattr_static(package.AppCredentials, "basic_auth_header"), property)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("GetTokensRequest", {"grant_type", "code", "redirect_uri"}),
        ("RefreshTokensRequest", {"grant_type", "refresh_token"}),
        (
            "GetTokensResponse",
            {"access_token", "token_type", "refresh_token", "scope", "expires_in", "api_domain"},
        ),
        ("OAuthErrorResponse", {"success", "message", "error", "error_description"}),
        ("Response", {"status_code", "content", "headers", "parsed"}),
    ],
)
def test_model_has_the_promised_fields(name: str, fields: set[str]) -> None:
    """Each model is made from the fields of the documentation."""
    assert set(inspect.signature(getattr(package, name)).parameters) == fields


def documented() -> Iterator[tuple[str, Any]]:
    """Give every public class, function and module of the package with the name it goes by."""
    for name in package.__all__:
        value = getattr(package, name)
        if isinstance(value, str | package.Unset):
            continue
        yield name, value
        for member, function in vars(value).items():
            bare = getattr(function, "__func__", function)
            home = value.__name__ if isinstance(value, ModuleType) else value.__module__
            own = inspect.isfunction(bare) and bare.__module__ == home
            if own and not member.startswith("_"):
                yield f"{name}.{member}", bare


DOCUMENTED = dict(documented())


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_opens_with_one_sentence(name: str) -> None:
    """Each public name has a docstring of its own whose first paragraph is one sentence."""
    doc = inspect.cleandoc(DOCUMENTED[name].__doc__ or "")
    first = " ".join(doc.split("\n\n")[0].split())
    assert re.fullmatch(r"[A-Z`].*[.!?]", first)
    assert re.search(r"[.!?] +[A-Z]", first) is None


@pytest.mark.parametrize(
    "name", [name for name, value in DOCUMENTED.items() if inspect.isfunction(value)]
)
def test_docstring_describes_arguments_and_result(name: str) -> None:
    """Each public function describes every argument, and what it returns if anything."""
    function = DOCUMENTED[name]
    doc = inspect.cleandoc(function.__doc__)
    signature = inspect.signature(function)
    for argument in signature.parameters.keys() - {"self", "cls"}:
        assert re.search(rf"^    (\*\*)?{argument}: ", doc, re.MULTILINE), argument
    result = str(signature.return_annotation)
    word = "Yields" if "Generator[" in result else "Returns"
    assert (f"{word}:\n" in doc) is (result != "None")


def test_package_is_typed() -> None:
    """Type checkers find the marker of PEP 561."""
    assert resources.files(package).joinpath("py.typed").is_file()


def test_version_is_one() -> None:
    """The version is a normal one of PEP 440."""
    assert str(Version(package.__version__)) == package.__version__


WATCH = """
import json, sys, threading
import attrs, httpx
before = set(sys.modules)
events = []
seen = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.exec", "os.mkdir", "os.putenv")
sys.addaudithook(lambda event, _: events.append(event) if event.startswith(seen) else None)
start = threading.Thread.start
threading.Thread.start = lambda thread: (events.append("thread"), start(thread))
{statement}
print(json.dumps([sorted(set(sys.modules) - before), events]))
"""


def watched(statement: str) -> tuple[set[str], list[str]]:
    """Run a statement in a new interpreter that has httpx and attrs.

    Returns:
        The modules that it imported, and what else it did: sockets, processes, folders, threads.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", WATCH.format(statement=statement)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules, events = json.loads(done.stdout)
    return set(modules), events


def test_import_loads_nothing_but_the_package() -> None:
    """Importing every name loads the package, httpx and attrs, and does nothing else."""
    modules, events = watched(f"from {package.__name__} import *")
    assert f"{package.__name__}.generated.api.oauth.get_tokens" in modules
    # Small parts of the standard library: random states, comparing them, looking for an extra, and
    # what a renewal and its waiters share.
    allowed = {"hmac", "secrets", "importlib.util", "importlib._abc"}
    allowed |= {"concurrent", "concurrent.futures", "concurrent.futures._base"}
    allowed |= {"contextvars"}
    others = {name for name in modules if name.split(".")[0] != package.__name__}
    # What the standard library has in C is another module in each version.
    assert {name for name in others if not name.startswith("_")} <= allowed
    assert not {name for name in modules if name.split(".")[1:2] in (["sandbox"], ["web"], ["cli"])}
    assert events == []


NEEDS_NO_HTTPX = ("basic_auth_header", "AppCredentials", "PipedriveOAuthError", "Token")


@pytest.mark.parametrize("name", [None, *NEEDS_NO_HTTPX, "stores"])
def test_httpx_is_imported_by_what_sends(name: str | None) -> None:
    """Importing the package loads no httpx, and neither do names that send nothing."""
    asked = f"package.{name}" if name else "package"
    if name == "stores":  # a module
        asked = f"import {package.__name__}.stores"
    program = (
        f"import sys, {package.__name__} as package\n"
        f"{asked}\n"
        "print('httpx' in sys.modules)\n"
        "package.PipedriveOAuth\n"
        "print('httpx' in sys.modules)\n"
    )
    assert python(program) == "False\nTrue\n"


def test_threads_may_ask_at_once() -> None:
    """Threads that ask for all names at the same moment all get them, each the same."""
    program = (
        "import threading, pipedrive_oauth_client as package\n"
        "names, start, got = list(package.__all__), threading.Barrier(8), []\n"
        "def ask(first):\n"
        "    start.wait()\n"
        "    mine = {n: getattr(package, n) for n in names[first:] + names[:first]}\n"
        "    got.append([id(mine[n]) for n in names])\n"
        "threads = [threading.Thread(target=ask, args=(5 * n,)) for n in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(got), len(set(map(tuple, got))))\n"
    )
    assert python(program) == "8 1\n"


def test_lazy_names_behave_like_others() -> None:
    """In a fresh interpreter names can be listed, inspected and unpickled; others are refused."""
    program = (
        "import inspect, pickle, pipedrive_oauth_client as package\n"
        "print(set(package.__all__) <= set(dir(package)))\n"
        "members = dict(inspect.getmembers(package))\n"
        "print(set(package.__all__) - set(members), members['Token'] is package.Token)\n"
        "token = package.UNSET\n"
        "kept = pickle.dumps(package.Token, protocol=4)\n"
        "print(pickle.loads(pickle.dumps(token)) is token, kept[:2])\n"
        "print(hasattr(package, 'nothing'), hasattr(package, '__wrapped__'))\n"
    )
    assert python(program).splitlines() == [
        "True",
        "set() True",
        "True b'\\x80\\x04'",
        "False False",
    ]


def python(program: str) -> str:
    """Run a program in a fresh interpreter, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_watching_sees_what_an_import_may_not_do() -> None:
    """The check above would see an extra, a socket and a thread."""
    modules, events = watched(
        "import socket, starlette; socket.socket().close(); threading.Thread(target=int).start()"
    )
    assert "starlette" in modules
    assert events == ["socket.__new__", "thread"]


def test_stand_ins_do_not_stay() -> None:
    """What a test puts into a module for a while is gone afterwards from the package as well."""
    code = (
        "import pipedrive_oauth_client as package, pipedrive_oauth_client.tokens as tokens;"
        "real = tokens.Token; tokens.Token = None;"
        "assert package.Token is None;"
        "tokens.Token = real;"
        "assert package.Token is real"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "name", [name for name in package.__all__ if inspect.isclass(getattr(package, name))]
)
def test_types_of_attributes_can_be_asked_for(name: str) -> None:
    """Programs that read annotations find what each of them names."""
    assert isinstance(get_type_hints(getattr(package, name)), dict)

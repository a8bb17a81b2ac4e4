"""The linter of the spec finds each fault that it is there for, and tells its line."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import yaml

from tools.environments import ROOT, SetupError
from tools.lint.__main__ import (
    Problem,
    read_redocly,
    rule_problems,
    spec_problems,
)

# The first of these to run installs the linter, and npm tries an unreachable registry for minutes.
pytestmark = pytest.mark.timeout(300)

SPEC = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
LINT = ROOT / "tools/lint"
RULES = yaml.safe_load((LINT / "redocly.yaml").read_text(encoding="utf-8"))["rules"]

# Each rule that redocly.yaml switches on, with a change of the spec that breaks it: what stands
# there, and what is to stand there.
FAULTS: dict[str, tuple[str, str]] = {
    "info-contact": (
        "  contact:\n    name: Pipedrive developer documentation\n    url: https://developers.pipedrive.com\n",
        "",
    ),
    "no-http-verbs-in-paths": ("  /oauth/revoke:", "  /oauth/post-revoke:"),
    "no-schema-type-mismatch": (
        "          type: integer\n          minimum: 0",
        "          type: integer\n          items: {type: string}\n          minimum: 0",
    ),
    "no-invalid-schema-examples": (
        "          minLength: 1\n",
        "          minLength: 1\n          example: 5\n",
    ),
    "no-invalid-parameter-examples": ("example: 3f9a1c07d2b84e65", "example: 5"),
    "no-invalid-media-type-examples": ("expires_in: 3599", "expires_in: soon"),
    "operation-description": (
        "      description: |\n        Makes a token invalid.",
        "      x-description: |\n        Makes a token invalid.",
    ),
    "operation-operationId-unique": ("operationId: revoke_tokens", "operationId: get_tokens"),
    "operation-singular-tag": ("tags: [Oauth]", "tags: [Oauth, Other]"),
    "operation-tag-defined": ("tags: [Oauth]", "tags: [Other]"),
    "parameter-description": (
        "          description: The client ID that the Developer Hub shows for the app.\n",
        "",
    ),
    "paths-kebab-case": ("  /oauth/revoke:", "  /oauth/Revoke_It:"),
    "spec-strict-refs": (
        "externalDocs:\n  description: Pipedrive's guide to OAuth authorization\n",
        (
            "x-docs:\n  description: A page\n  url: https://a.example\n\n"
            "externalDocs:\n  $ref: '#/x-docs'\n"
        ),
    ),
    "tags-alphabetical": (
        "tags:\n  - name: Oauth\n",
        "tags:\n  - name: Zeta\n    description: The last.\n  - name: Oauth\n",
    ),
    "rule/no-slash-at-the-end-of-a-path": ("  /oauth/revoke:", "  /oauth/revoke/:"),
    "rule/request-body-description": ("        description: The token to revoke, as a form.\n", ""),
    "rule/response-description": (
        "description: The token is invalid now, or was not known. There is no body to read.",
        "description: ''",
    ),
    "rule/header-description": (
        "          description: The scheme that the service requires, `Basic`.\n",
        "",
    ),
    "rule/schema-description": ("      description: The form of a refresh token grant.\n", ""),
    "rule/property-description": (
        "          description: The access token or refresh token to revoke.\n",
        "",
    ),
    "rule/server-description": (
        "    description: Pipedrive's OAuth host, the same for every company\n",
        "",
    ),
    "rule/security-scheme-description": (
        "description: The app's client ID as user name and",
        "x-description: Left out.",
    ),
    "rule/parameter-example": ("          example: 3f9a1c07d2b84e65\n", ""),
    "rule/content-example": (
        "example:\n              token: 7412903:9120468:5be07c43d1f2a896\n",
        "x-example:\n              token: 7412903:9120468:5be07c43d1f2a896\n",
    ),
    "rule/operation-id-snake-case": ("operationId: revoke_tokens", "operationId: revokeTokens"),
    "rule/schema-name-pascal-case": ("RevokeTokensRequest", "revoke_request"),
    "rule/operation-security": ("      security: []\n", ""),
    "rule/server-https": ("url: https://oauth.pipedrive.com", "url: http://oauth.pipedrive.com"),
    "rule/operation-failures": (
        "        '429':\n          $ref: '#/components/responses/TooManyRequests'\n",
        "",
    ),
    "own/secrets-are-marked": (
        "          format: password\n          description: The access token or",
        "          description: The access token or",
    ),
    "own/schemas-have-names": (
        "            schema:\n              $ref: '#/components/schemas/RevokeTokensRequest'",
        "            schema: {type: object}",
    ),
}
# Rules whose other direction, or another place, is worth a look of its own.
FURTHER: dict[str, tuple[str, str]] = {
    "own/secrets-are-marked, of a parameter": (
        "schema: {type: string, format: password}",
        "schema: {type: string}",
    ),
    "own/secrets-are-marked, the wrong one": (
        "          type: string\n          minLength: 1",
        "          type: string\n          format: password\n          minLength: 1",
    ),
}
ALL = FAULTS | FURTHER
# No faults: changes of the spec that a rule has to let pass.
FINE: dict[str, tuple[str, str]] = {
    "own/secrets-are-marked, a code that is exempt": (
        "        token_type_hint:\n",
        (
            "        language_code:\n          type: string\n          description: A code.\n"
            "        token_type_hint:\n"
        ),
    ),
}


def changed(old: str, new: str) -> str:
    """Give the spec with each place that reads so changed."""
    assert old in SPEC, old
    return SPEC.replace(old, new)


def rule_of(name: str) -> str:
    """Give the rule of a fault."""
    return name.split(",", maxsplit=1)[0]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Problem]]:
    """Lint the spec and all its broken copies in one go."""
    folder = tmp_path_factory.mktemp("specs")
    files = {"good": folder / "good.yaml"}
    files["good"].write_text(SPEC, encoding="utf-8")
    for number, (name, (old, new)) in enumerate((ALL | FINE).items()):
        files[name] = folder / f"{number}.yaml"
        files[name].write_text(changed(old, new), encoding="utf-8")
    try:
        every = rule_problems(list(files.values()))
    except SetupError as error:
        # For want of the registry alone: a linter that does not work is a fault.
        if "npm registry" not in str(error):
            raise
        pytest.skip(f"{error}: `make check ARGS=spec` installs the linter, and says more")
    by_file: dict[str, list[Problem]] = {name: [] for name in files}
    names = {file.name: name for name, file in files.items()}
    for problem in every:
        by_file[names[Path(problem.file).name]].append(problem)
    return by_file


def test_the_spec_has_no_fault(found: dict[str, list[Problem]]) -> None:
    """What is committed passes every rule."""
    assert found["good"] == []


@pytest.mark.parametrize("name", ALL)
def test_fault_is_found_where_it_is(found: dict[str, list[Problem]], name: str) -> None:
    """A spec with one fault fails the rule against it, near the change, in one line."""
    mine = [problem for problem in found[name] if problem.rule == rule_of(name)]
    assert mine, found[name]
    old, new = ALL[name]
    text = changed(old, new)
    changes = SequenceMatcher(None, SPEC.splitlines(), text.splitlines(), autojunk=False)
    lines = [start + 1 for kind, _, _, start, _ in changes.get_opcodes() if kind != "equal"]
    assert any(abs(problem.line - line) <= 12 for problem in mine for line in lines)
    for problem in mine:
        assert re.fullmatch(r".+\.yaml:\d+:\d+: .+ \[\S+\]", str(problem))


@pytest.mark.parametrize("name", FINE)
def test_what_is_no_fault_passes(found: dict[str, list[Problem]], name: str) -> None:
    """What only looks like a fault breaks no rule."""
    assert found[name] == []


def test_every_rule_has_its_fault() -> None:
    """A rule that is added to redocly.yaml needs a spec here that it fails on."""
    on = {name for name, value in RULES.items() if value not in (False, "off")}
    assert on - FAULTS.keys() == set()


INVALID = {
    "no YAML": ("a: [\n", 2, "yaml", "not YAML"),
    "no mapping": ("- a\n", 1, "yaml", "not an OpenAPI document"),
    "another version": ("openapi: 2.0\n", 1, "yaml", "not an OpenAPI document of 3.0 or 3.1"),
    "no info": ("openapi: 3.0.3\npaths: {}\n", 1, "openapi", "'info' is a required property"),
    "a place inside": (
        "openapi: 3.1.0\ninfo:\n  title: T\n  version: 5\npaths: {}\n",
        4,
        "openapi",
        "5 is not of type 'string'",
    ),
}


@pytest.mark.parametrize(("text", "line", "rule", "words"), INVALID.values(), ids=INVALID.keys())
def test_invalid_document(tmp_path: Path, text: str, line: int, rule: str, words: str) -> None:
    """What is no valid document is told with its line, also where it is not even YAML."""
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    (problem,) = spec_problems(file)
    assert (problem.line, problem.rule) == (line, rule)
    assert words in problem.message


def test_status_without_quotes_passes(tmp_path: Path) -> None:
    """A status that YAML takes for a number is read as text, as the generator does."""
    file = tmp_path / "x.yaml"
    file.write_text(changed("'200':", "200:"), encoding="utf-8")
    assert list(spec_problems(file)) == []


def test_valid_document_passes(tmp_path: Path) -> None:
    """The spec has no fault of form, and a long message is cut."""
    file = tmp_path / "x.yaml"
    file.write_text(SPEC, encoding="utf-8")
    assert list(spec_problems(file)) == []
    file.write_text(SPEC.replace("in: query", "in: cookies"), encoding="utf-8")
    assert all(len(problem.message) < 220 for problem in spec_problems(file))


def test_unreadable_output_is_an_error() -> None:
    """What a broken linter prints is not taken for a document without problems."""
    with pytest.raises(ValueError, match="nothing was printed"):
        list(read_redocly(""))
    with pytest.raises(KeyError):
        list(read_redocly("{}"))

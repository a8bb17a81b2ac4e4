"""The error of an adapter whose library is not installed."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.errors import MissingExtraError

NAMES = {"requests": "PipedriveRequestsAuth", "httpx2": "PipedriveHttpx2Auth"}


def without(package: str, adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import an adapter anew, with a package hidden."""
    module = f"pipedrive_oauth_client.adapters.{adapter}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    import_module(module)


@pytest.mark.parametrize("library", NAMES)
def test_missing_library_names_its_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which extra brings the library, and keeps the cause."""
    with pytest.raises(MissingExtraError, match=rf"client\[{library}\]") as caught:
        without(library, library, monkeypatch)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == library
    assert NAMES[library] in str(caught.value)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_another_missing_package_is_not_taken_for_it() -> None:
    """What a library itself lacks is not put right by an extra, so that its own error comes out."""
    error = ModuleNotFoundError("No module named 'urllib3'", name="urllib3")
    with pytest.raises(ModuleNotFoundError) as caught:
        raise_missing_extra(error, "PipedriveRequestsAuth", package="requests", extra="requests")
    assert caught.value is error

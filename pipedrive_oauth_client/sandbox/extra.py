"""What is said when the packages that the sandbox needs aren't installed."""

from __future__ import annotations

from pipedrive_oauth_client.errors import ConfigurationError


class SandboxExtraMissingError(ConfigurationError, ImportError):
    """The `sandbox` extra isn't installed.

    It is an ImportError too, so that what copes with missing modules (`pytest.importorskip`, a
    `try` around an import) copes with this one.
    """

    def __init__(self) -> None:
        super().__init__(
            "The sandbox needs starlette, uvicorn and jinja2. "
            'Install them with: pip install "pipedrive-oauth-client[sandbox]"'
        )

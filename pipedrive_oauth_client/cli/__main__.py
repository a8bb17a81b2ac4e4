"""`pipedrive-oauth`, or `python -m pipedrive_oauth_client.cli`.

It is a module of its own because it has to work without the extra `cli`, to say that it is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.cli.output import drop_unwritten, say
from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The command and its arguments; those of the process by default.

    Returns:
        The exit code; see `exit_codes.ExitCode`.
    """
    try:
        # The script is installed without the extra as well.
        from pipedrive_oauth_client.cli.main import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        try:
            raise_missing_extra(error, "pipedrive-oauth", package="typer", extra="cli")
        except ConfigurationError as missing:
            say(f"Error: {missing}")
            drop_unwritten()
            return 2
    except KeyboardInterrupt:
        return 130  # before anything was done
    return run(sys.argv[1:] if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(main())

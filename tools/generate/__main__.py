"""Write the generated package, or with `--check` only report whether it is up to date."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from tools.generate.document import GenerationError
from tools.generate.render import Sources, render
from tools.generate.tree import Difference, compare, read_tree, rewrite
from tools.safe_output import printable_lines

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    """Run the command, and return its exit status.

    It is 0 on success, 1 when `--check` finds a difference, 2 when nothing could be generated.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; fail if a file differs from what would be written",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=ROOT,
        help="the project's folder (default: the one of this tool)",
    )
    arguments = parser.parse_args(argv)
    root: Path = arguments.root.resolve()
    folder = root / "pipedrive_oauth_client" / "generated"
    sources = Sources(
        root / "openapi.yaml", root / "generator-config.yml", root / "generator-templates"
    )
    try:
        # `--check` compares with what was proven when it was written.
        wanted = render(sources, proven=not arguments.check)
    except GenerationError as error:
        print(f"Nothing was generated.\n{printable_lines(str(error))}", file=sys.stderr)
        return 2
    differences = compare(read_tree(folder), wanted)
    if arguments.check:
        return _check(differences, len(wanted))
    rewrite(folder, wanted)
    _report(differences, len(wanted))
    return 0


def _check(differences: list[Difference], count: int) -> int:
    if not differences:
        print(f"No drift: the {count} generated files match the spec, settings and templates.")
        return 0
    for difference in differences:
        empty = f"{difference.path}: an empty file is {difference.kind}"
        print(printable_lines(difference.diff or empty))
    print(
        f"\nDrift in {len(differences)} of the generated files (above). Never edit them: change"
        " openapi.yaml or generator-templates/, run `make generate`, and commit what it writes.",
        file=sys.stderr,
    )
    for difference in differences:
        print(f"  {difference.kind:8} {difference.path}", file=sys.stderr)
    return 1


def _report(differences: list[Difference], count: int) -> None:
    words = {"missing": "added", "stray": "removed", "changed": "changed"}
    for difference in differences:
        lines = f"(+{difference.added} -{difference.removed})"
        print(f"  {words[difference.kind]:8} {difference.path}  {lines}")
    print(f"{count} files generated, {len(differences) or 'none'} changed.")


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        # Differences repeat what the spec says, in any script; not every terminal has them all.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())

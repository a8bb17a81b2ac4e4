"""Build the documentation's site: `python -m tools.site [build | serve]`.

`build` writes the folder site/: MkDocs checks every link and anchor, and this module that nothing
is fetched from another server. `serve` shows it at a port of this machine and follows changes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tools.environments import ROOT, SetupError, clean_environ, exit_code, held, tool_python
from tools.npm import install
from tools.site.fetched import faults
from tools.site.plain_text import write_plain_text
from tools.site.staging import DIAGRAMS_SCRIPT, stage

if TYPE_CHECKING:
    from collections.abc import Mapping

SITE = ROOT / "site"
# The lines of what MkDocs and its theme print that are about these pages.
WORTH_READING = re.compile(r"^(?:WARNING|ERROR)\b.*|^Aborted.*|^\s+\S.*Error.*", re.MULTILINE)
SECONDS_BETWEEN_LOOKS = 1.0


def main() -> None:
    """Build or serve, as the command line says."""
    command, *more = sys.argv[1:] or ["build"]
    if command == "build" and not more:
        build(SITE)
    elif command == "serve":
        serve(more)
    else:
        raise SetupError(
            "make docs builds the site; make docs ARGS=serve shows it; make docs ARGS=screenshots "
            "makes its screenshots"
        )


def build(site: Path) -> None:
    """Build a site and check it; a site that was there before is replaced only by a good one."""
    python = tool_python(ROOT / ".venv-site", Path(__file__).parent / "requirements.lock")
    with tempfile.TemporaryDirectory(prefix="site-") as name:
        folder = Path(name).resolve()
        stage(ROOT, folder)
        add_diagrams_script(folder)
        fresh = folder / "site"
        done = subprocess.run(
            [str(python), "-I", "-m", "mkdocs", "build", "--site-dir", str(fresh)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=variables(),
            cwd=folder,
            check=False,
        )
        if done.returncode != 0:
            reasons = WORTH_READING.findall(done.stdout) or done.stdout.splitlines()[-20:]
            print(*reasons, sep="\n", file=sys.stderr)
            raise SetupError("the site was not built; see the lines above")
        write_plain_text(folder, fresh)
        found = list(faults(fresh))
        if found:
            print(*found, sep="\n", file=sys.stderr)
            raise SetupError(f"the site has {len(found)} faults; site/ stays as it was")
        with held(ROOT / ".setup.lock"):
            if site.exists():
                shutil.rmtree(site)
            shutil.copytree(fresh, site)
    pages = sum(1 for _ in site.rglob("*.html"))
    print(f"{pages} pages in {site.name}/; open {site.name}/index.html")


def add_diagrams_script(folder: Path) -> None:
    """Put what draws the diagrams where the pages load it from."""
    script = "mermaid/dist/mermaid.min.js"
    _node, modules = install(Path(__file__).parent, usable=script)
    shutil.copyfile(modules / script, folder / "pages" / DIAGRAMS_SCRIPT)


def serve(arguments: list[str]) -> None:
    """Show the site while it is being written; Ctrl-C ends it."""
    python = tool_python(ROOT / ".venv-site", Path(__file__).parent / "requirements.lock")
    with tempfile.TemporaryDirectory(prefix="site-") as name:
        folder = Path(name).resolve()
        stage(ROOT, folder)
        add_diagrams_script(folder)
        threading.Thread(target=follow, args=(folder,), daemon=True).start()
        command = [str(python), "-I", "-m", "mkdocs", "serve", "--no-strict", "--livereload"]
        subprocess.run([*command, *arguments], env=variables(), cwd=folder, check=False)


def follow(folder: Path) -> None:
    """Gather the pages again whenever a source has changed, for as long as the program runs."""
    seen = sources()
    pause = threading.Event()
    while not pause.wait(SECONDS_BETWEEN_LOOKS):
        now = sources()
        if now == seen:
            continue
        seen = now
        with tempfile.TemporaryDirectory(prefix="site-") as name:
            try:
                stage(ROOT, Path(name))
            except SetupError as error:
                print(error, file=sys.stderr)
                continue
            shutil.copytree(Path(name) / "pages", folder / "pages", dirs_exist_ok=True)


def sources() -> Mapping[Path, int]:
    """Return the time of the last change of each file that pages are made from."""
    docs = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs/images").glob("*.png")]
    files = [*docs, *ROOT.glob("*.md"), ROOT / "openapi.yaml"]
    return {file: file.stat().st_mtime_ns for file in files if file.exists()}


def variables() -> dict[str, str]:
    """Return the environment variables of MkDocs: none that would change what it builds."""
    # Without Material's advice about MkDocs 2; see mkdocs.yml.
    return {**clean_environ(), "NO_MKDOCS_2_WARNING": "true", "PYTHONUTF8": "1"}


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Kedro-Viz's page without requests to other hosts."""

import atexit
import re
import shutil
import sys
import tempfile
from pathlib import Path

_OUTSIDE_LINK = re.compile(r"<link\s[^>]*https?://[^>]*>")
"""The page's links to fonts of another host; without them the browser takes its own font."""


def keep_requests_local() -> None:
    """Serve Kedro-Viz's page without outside links, if this process serves it.

    Kedro-Viz imports its app before the project's settings, which call this, and then reads the page from the
    folder that the app names.
    """
    app = sys.modules.get("kedro_viz.api.apps")
    if app is None:
        return
    original = Path(app._HTML_DIR)  # noqa: SLF001 - has no public name
    folder = Path(tempfile.mkdtemp(prefix="kedro-viz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in original.iterdir():
        if path.name != "index.html":
            (folder / path.name).symlink_to(path)
    page = (original / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(_OUTSIDE_LINK.sub("", page), encoding="utf-8")
    app._HTML_DIR = folder  # type: ignore[attr-defined]  # noqa: SLF001 - has no public name

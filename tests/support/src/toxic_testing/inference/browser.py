"""A real browser, for the tests of the page and its pictures.

It uses an installed browser, without a download, and ends it with the block.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

from toxic_core.errors import ConfigurationError

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Start Chromium without a window.

    While it runs, its thread has an event loop: no other may be started there.

    Raises:
        ConfigurationError: there is none.
    """
    # Chromium's sandbox refuses to run as root, as tests in a container do.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(playwright), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def _program(playwright: Playwright) -> str:
    found = next(filter(None, map(shutil.which, _PROGRAMS)), playwright.chromium.executable_path)
    if not Path(found).exists():
        raise ConfigurationError(
            "There is no Chromium here; install it (Debian: apt-get install chromium; elsewhere: "
            "playwright install chromium)."
        )
    return found

"""`make screenshots`: the README's pictures of the page, taken of the service that runs.

Invariant: pictures hold generated comments only, and replace those before them when all could be taken.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, Error, Page, ViewportSize, expect

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_testing.inference.browser import open_chromium

_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_SIZE: ViewportSize = {"width": 1120, "height": 720}
_PHONE: ViewportSize = {"width": 390, "height": 844}
_PATIENCE_MILLISECONDS = 60_000
_COMMENT = "You are a complete idiot and everybody here knows it."
_ROWS = (
    ("1", "What a lovely garden, thank you for sharing it."),
    ("2", "You are a complete idiot and everybody here knows it."),
    ("3", "Gracias por la respuesta tan clara."),
    ("4", "Sei uno stupido, vattene via."),
    ("5", "Could you tell me where you read that?"),
    ("6", ""),
)


def main() -> None:
    """Take every picture; print one line with the reason if one fails."""
    parser = argparse.ArgumentParser(description="Take pictures of the page.")
    parser.add_argument("--address", required=True, help="where the service listens")
    parser.add_argument("--out", type=Path, required=True, help="the pictures' folder")
    asked = parser.parse_args()
    try:
        take_pictures(asked.address, asked.out)
    except ToxicError as error:
        sys.exit(f"screenshots: {error}")


def take_pictures(address: str, out: Path) -> None:
    """Take pictures of the page at `address` and put them into `out`.

    Raises:
        ConfigurationError: there is no browser, or no service that scores.
    """
    out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=_PATIENCE_MILLISECONDS)
    with TemporaryDirectory(dir=out, prefix=".partial-") as name, open_chromium() as browser:
        folder = Path(name)
        try:
            for scheme in _SCHEMES:
                with _open(browser, address, scheme) as page:
                    _score_comment(page)
                    page.set_viewport_size(_PHONE)
                    page.screenshot(path=folder / f"phone-{scheme}.png")
                    page.set_viewport_size(_SIZE)
                    _score_file(page, folder)
                    page.screenshot(path=folder / f"page-{scheme}.png", full_page=True)
                    page.locator("#file-result").screenshot(path=folder / f"table-{scheme}.png")
        except (Error, AssertionError) as error:
            raise ConfigurationError(
                f"The page at {address} doesn't do what it should: {str(error).splitlines()[0]} Is a "
                "champion served there? Start make demo or make serve first."
            ) from error
        for picture in folder.glob("*.png"):
            picture.replace(out / picture.name)


@contextmanager
def _open(browser: Browser, address: str, scheme: Literal["light", "dark"]) -> Iterator[Page]:
    context = browser.new_context(
        viewport=_SIZE, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
    )
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#health")).to_have_attribute("data-state", "ready")
    yield page
    context.close()


def _score_comment(page: Page) -> None:
    page.get_by_label("Comment", exact=True).fill(_COMMENT)
    # Twice: the second answer shows the latency of a service that is warm.
    for _ in range(2):
        page.get_by_role("button", name="Score", exact=True).click()
        expect(page.locator("#words")).to_be_visible()


def _score_file(page: Page, folder: Path) -> None:
    file = folder / "comments.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("id", "content"), *_ROWS])
    page.get_by_label("or drop it here").set_input_files(file)
    page.get_by_role("button", name="Score the file").click()
    expect(page.locator("#file-result")).to_be_visible()
    page.mouse.move(0, 0)


if __name__ == "__main__":
    main()

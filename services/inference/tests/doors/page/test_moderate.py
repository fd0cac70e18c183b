"""The page of the review: by keyboard, by mouse, with a key, and for screen readers."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from toxic_inference.corrections.review_queue import ReviewQueue
from toxic_inference.corrections.review_store import Candidate, Opinion
from toxic_inference.corrections.tables import digest_of
from toxic_inference.events import ReviewReason

pytestmark = pytest.mark.timeout(120)

TEXTS = ("you are kind", "you are a fool")


@pytest.fixture
def moderation(review_queue: ReviewQueue, site: Any, visit: Callable[..., Page]) -> Page:
    """The page with two texts; another reviewer has called the first one toxic and no threat."""
    seen = {"toxic": (0.52, True), "threat": (0.1, False)}
    for distance, text in enumerate(TEXTS):
        review_queue.offer(Candidate(text, "en", "7", seen, ReviewReason.UNCERTAIN, distance / 100))
    asyncio.run_coroutine_threadsafe(review_queue.flush(), site.loop).result(timeout=30)
    review_queue.store.judge(
        digest_of(TEXTS[0]),
        Opinion("bob", "bob", {"toxic": True, "threat": False}),
        now=review_queue.now(),
        since=review_queue.since(),
    )
    return visit(site, "/moderate")


def test_texts_are_judged_by_keyboard(moderation: Page, site: Any) -> None:
    """Digits set the labels, Enter judges, s skips; the result is announced, with the agreement."""
    expect(moderation.locator("#text")).to_have_text(TEXTS[0])
    expect(moderation.locator("#reason")).to_contain_text("near its threshold · English · version 7 · 1 of 2")
    moderation.keyboard.press("1")
    expect(moderation.get_by_role("checkbox", name="Toxic")).to_be_checked()
    moderation.keyboard.press("Enter")
    expect(moderation.locator("#status")).to_have_text("Decided, and filed as a correction.")
    expect(moderation.locator("#text")).to_have_text(TEXTS[1])
    expect(moderation.locator("#agreement tbody tr").first).to_contain_text("100 %")
    moderation.keyboard.press("s")
    expect(moderation.locator("#status")).to_have_text("Skipped. There is no text to judge.")
    exported = httpx.get(f"{site.address}/feedback", params={"format": "ndjson"}).text.splitlines()
    assert len(exported) == 2


def test_a_small_screen_explains_no_keys(moderation: Page) -> None:
    """It has no keyboard; the text keeps the direction of its script."""
    keys = moderation.get_by_role("heading", name="Keys")
    expect(keys).to_be_visible()
    moderation.set_viewport_size({"width": 390, "height": 900})
    expect(keys).to_be_hidden()
    expect(moderation.locator("#text")).to_have_attribute("dir", "auto")
    assert moderation.evaluate("document.documentElement.scrollWidth") == 390


def test_a_text_is_deleted_by_keyboard(moderation: Page, site: Any) -> None:
    """After a question, everywhere; without the keys switched on, typing does nothing."""
    moderation.on("dialog", lambda dialog: dialog.accept())
    moderation.get_by_label("Use these keys").uncheck()
    moderation.keyboard.press("d")
    expect(moderation.locator("#text")).to_have_text(TEXTS[0])
    moderation.get_by_label("Use these keys").check()
    moderation.keyboard.press("d")
    expect(moderation.locator("#status")).to_have_text("Deleted everywhere.")
    texts = httpx.get(f"{site.address}/review").json()["texts"]
    assert [text["text"] for text in texts] == [TEXTS[1]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(moderation: Page, scheme: Any) -> None:
    """With a text and after an opinion."""
    moderation.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    expect(moderation.locator("#text")).to_have_text(TEXTS[0])
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    for _ in range(2):
        found = Axe().run(moderation, options=rules)
        assert found.violations_count == 0, found.generate_report()
        moderation.keyboard.press("Enter")
        expect(moderation.locator("#text")).to_have_text(TEXTS[1])

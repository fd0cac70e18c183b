"""The page with a comment: its scores, its reasons, its correction; by mouse, keyboard and screen reader."""

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from toxic_core.contract import Contract
from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_testing.inference.bundles import make_contract
from toxic_testing.inference.core import UNREAD, FakeCore

pytestmark = pytest.mark.timeout(120)

TEXT = "you are a stupid idiot"
SIX = ("Toxic", "Severe toxic", "Obscene", "Threat", "Insult", "Identity hate")


def score(page: Page, text: str) -> None:
    """Type a comment and ask for its scores by keyboard."""
    page.get_by_label("Comment", exact=True).fill(text)
    page.keyboard.press("Control+Enter")


def expect_scores(page: Page, value: str) -> None:
    """Wait for six scores, all of this value."""
    expect(page.locator("#scores .number")).to_have_text([value] * 6)


def violations(page: Page) -> str:
    """Return what axe-core finds on the page, by the rules of WCAG 2.2 AA; empty where it finds nothing."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(page, options=rules)
    assert found.response["passes"]
    return str(found.generate_report()) if found.violations_count else ""


@pytest.mark.parametrize(("length", "decision"), [(49, "below"), (50, "⚑ flagged")])
def test_a_comment_gets_six_scores_and_decisions(page: Page, length: int, decision: str) -> None:
    """Decided at the operating threshold, one half here; with language, version and latency."""
    expect(page.get_by_text("toxic-comments · version 7")).to_be_visible()
    score(page, "y" * length)
    expect_scores(page, f"{length / 100:.3f}")
    for name in SIX:
        meter = page.get_by_role("meter", name=name, exact=True)
        assert meter.get_attribute("aria-valuenow") == str(length)
    expect(page.locator("#scores .decision")).to_have_text([decision] * 6)
    verdict = (
        "Not flagged: every score is below" if decision == "below" else "Flagged as toxic, severe toxic, "
    )
    expect(page.locator("#verdict")).to_contain_text(verdict)
    marks = page.locator("#scores .threshold")
    assert [mark.get_attribute("style") for mark in marks.all()] == ["left: 50%;"] * 6
    expect(page.locator("#language-note")).to_be_hidden()
    facts = page.locator("#facts")
    for fact in ("English, identified with 100 % confidence", "toxic-comments, version 7", "3 tokens"):
        expect(facts).to_contain_text(fact)
    expect(facts).to_contain_text(" ms ")


class Versioned(Protocol):
    """The fake core's contract, which a test replaces."""

    contract: Contract


def test_the_page_shows_the_labels_of_the_version(page: Page, core: Versioned) -> None:
    """As scores, as the reason and in the correction: the page knows no label by itself."""
    core.contract = make_contract(labels=("off_topic", "toxic"))
    score(page, "a fool " * 5)
    expect(page.locator("#scores .number")).to_have_text(["0.350"] * 2)
    expect(page.get_by_role("meter", name="Off topic", exact=True)).to_be_visible()
    expect(page.locator("#words-title")).to_have_text("What drives off topic")
    page.get_by_text("Correct this").click()
    expect(page.locator("#correct-labels input")).to_have_count(2)


def test_the_words_that_drove_the_score_are_marked(page: Page) -> None:
    """In the text as it was typed, characters outside the basic plane and markup included."""
    text = "😀 <b>you</b> fool"
    score(page, text)
    expect(page.locator("#words-text")).to_have_text(text)
    marks = page.locator("#words-text mark")
    expect(marks.last).to_have_text("fool")
    assert page.locator("#words-text b").count() == 0
    assert "falls by 0.100 without it" in (marks.last.get_attribute("title") or "")


def test_a_language_can_be_said(page: Page, core: Any) -> None:
    """Then it isn't identified."""
    page.get_by_label("Language").select_option("it")
    score(page, "hola")
    expect(page.locator("#facts")).to_contain_text("Italiano, as chosen")
    expect(page.locator("#language-note")).to_have_text(
        "The model wasn't evaluated for Italiano. Don't rely on its scores."
    )
    assert core.texts[0].language == "it"


def test_an_unknown_language_is_called_so(page: Page) -> None:
    """A text in no language of the service isn't shown as in one of them."""
    score(page, "12 34")
    expect(page.locator("#facts")).to_contain_text("Unknown language")
    expect(page.locator("#language-note")).to_contain_text("none of the languages")


def test_a_text_that_the_model_can_t_read_is_not_decided(page: Page) -> None:
    """Even if its scores are high: people decide."""
    score(page, f"{UNREAD} {'y' * 60}")
    expect(page.locator("#verdict")).to_have_text(
        "Not decided: the model knows too little of this text. Let people read it."
    )


def test_an_example_is_scored_by_a_click(page: Page) -> None:
    """There are three, and the comment shows which one was taken."""
    examples = page.locator("#examples button")
    expect(examples).to_have_count(3)
    examples.nth(1).click()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Only an idiot would write this.")
    expect_scores(page, "0.310")


def test_a_running_request_is_shown(page: Page, site: Any, core: FakeCore) -> None:
    """In words, to screen readers too; afterwards the page is as before."""
    core.held = held = asyncio.Event()
    score(page, TEXT)
    expect(page.get_by_role("button", name="Scoring…")).to_be_disabled()
    expect(page.locator("#running")).to_have_text("Scoring the comment…")
    announced = page.locator("[role=status]:is(#running, #verdict)")
    expect(announced).to_have_count(2)
    expect(page.locator("[aria-busy=true]").locator(announced)).to_have_count(0)
    expect(page.locator("[hidden]").locator(announced)).to_have_count(0)
    site.call(held.set)
    expect_scores(page, "0.220")
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_enabled()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    expect(page.locator("#running")).to_be_empty()


def test_the_pill_follows_the_version(page: Page, core: FakeCore) -> None:
    """Another version that answers is there at once, and so is a service without one."""
    expect(page.get_by_text("toxic-comments · version 7")).to_be_visible()
    core.version, core.known = "8", [VersionStatus("8", State.AVAILABLE, None, ("champion",))]
    score(page, TEXT)
    expect(page.get_by_text("toxic-comments · version 8")).to_be_visible()
    core.ready = False
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#health")).to_have_text("no version ready")
    score(page, TEXT)
    expect(page.get_by_role("alert")).to_have_text("No model is ready yet. Try again in a few seconds.")


def test_an_error_says_what_to_do(page: Page) -> None:
    """In an alert, which screen readers read out, and which the next answer removes."""
    score(page, "y" * 300)
    expect(page.get_by_role("alert")).to_contain_text("the limit is 200 bytes. Split or shorten it")
    expect(page.locator("#result")).to_be_hidden()
    score(page, TEXT)
    expect_scores(page, "0.220")
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("consent", [True, False], ids=["consent", "no-consent"])
def test_a_correction_is_filed(page: Page, site: Any, consent: bool) -> None:  # noqa: FBT001  a parameter of the test
    """What the boxes say, with the scores that were seen; the text only with consent."""
    score(page, TEXT)
    expect_scores(page, "0.220")
    page.get_by_text("Correct this").click()
    page.get_by_role("checkbox", name="Threat").check()
    page.get_by_label("The text may be kept").set_checked(consent)
    page.get_by_role("button", name="File the correction").click()
    expect(page.locator("#correct-done")).to_contain_text(
        "with the text" if consent else "the text wasn't kept"
    )
    expect(page.get_by_role("button", name="File the correction")).to_be_disabled()
    (row,) = csv.DictReader(io.StringIO(httpx.get(f"{site.address}/feedback").text, newline=""))
    assert row["text"] == (TEXT if consent else "")
    assert (row["source"], row["language"], row["model_version"]) == ("page", "en", "7")
    assert (row["threat"], row["toxic"]) == ("1", "0")
    assert row["id"] not in page.locator("body").inner_text()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#correct-done")).to_have_text("The correction was removed.")
    expect(page.get_by_role("button", name="File the correction")).to_be_enabled()
    assert row["id"] not in httpx.get(f"{site.address}/feedback").text


def test_a_service_with_keys_gets_one(
    serve: Callable[..., Any], visit: Callable[..., Page], tmp_path: Path
) -> None:
    """The page asks when the service does, keeps the key for its tab, and says when it is wrong."""
    secret, key = new_key("forum", Role.CLIENT)
    save_keys(tmp_path / "keys.txt", (key,))
    page = visit(serve(GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find)))
    field = page.get_by_label("This service asks for an API key")
    expect(field).to_be_hidden()
    score(page, TEXT)
    expect(field).to_be_focused()
    for given in ("wrong", secret):
        field.fill(given)
        page.keyboard.press("Enter")
        score(page, TEXT)
        if given == "wrong":
            expect(page.get_by_role("alert")).to_contain_text("The API key is missing or not valid")
    expect_scores(page, "0.220")
    expect(field).to_be_hidden()
    page.reload()
    score(page, TEXT)
    expect_scores(page, "0.220")


def test_the_page_is_light_or_dark(page: Page) -> None:
    """As the system has it, or as the person says, also after loading it again."""

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    page.emulate_media(color_scheme="dark")
    dark = ground()
    assert light != dark
    page.get_by_role("button", name="Switch between light and dark").click()
    assert ground() == light
    page.reload()
    assert ground() == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, scheme: Any) -> None:
    """Names, roles, contrast: before a comment, after an error, and with scores, words and a correction."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    expect(page.get_by_text("toxic-comments · version 7")).to_be_visible()
    assert violations(page) == ""
    score(page, "y" * 300)
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == ""
    score(page, "you are an utterly and completely stupid fool, idiot!")
    expect_scores(page, "0.530")
    expect(page.locator("#words-text mark").first).to_be_visible()
    page.get_by_text("Correct this").click()
    page.evaluate("document.getElementById('key-form').hidden = false")
    assert violations(page) == ""


def test_a_comment_is_scored_and_corrected_without_a_mouse(page: Page) -> None:
    """Tab comes to each control in turn, and what has the focus shows it."""
    score(page, TEXT)
    expect_scores(page, "0.220")
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["language", "score", *["BUTTON"] * 3, "SUMMARY"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="Insult")).to_be_checked()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#correct-done")).to_contain_text("Filed")


def test_the_page_is_light_and_fits_a_phone(visit: Callable[..., Page], site: Any) -> None:
    """At most 150 kB in all, and no sideways scrolling at 390 pixels."""
    page = visit(site)
    sizes = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.decodedBodySize)")
    assert 0 < sum(sizes) + len(page.content()) <= 150_000
    page.set_viewport_size({"width": 390, "height": 800})
    score(page, "you are an utterly and completely stupid fool, idiot!")
    expect_scores(page, "0.530")
    page.get_by_text("Correct this").click()
    page.get_by_text("Preview a community's policy").click()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_documentation_needs_no_other_host(visit: Callable[..., Page], site: Any) -> None:
    """Every operation is listed, by scripts that the service carries."""
    page = visit(site, "/docs")
    expect(page.get_by_text("/v1alpha1/comments:analyze")).to_be_visible()
    assert page.locator(".opblock").count() > 20

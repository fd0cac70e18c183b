"""The page's preview of a policy: from a pasted sample, from a file, by keyboard and screen reader."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.timeout(120)

DRAFT = """policies:
  forum:
    thresholds: {toxic: {"*": 0.3}, threat: {"*": {precision: 1}}}
    flag: {words: [fool], labels: [insult]}
"""


def preview(page: Page, draft: str, sample: str) -> None:
    """Open the card, type both and ask for a preview."""
    page.get_by_text("Preview a community's policy").click()
    page.get_by_label("The draft").fill(draft)
    if sample:
        page.get_by_label("The sample").fill(sample)
    page.get_by_role("button", name="Preview").click()


def test_a_draft_is_previewed(page: Page) -> None:
    """How many it would flag, by label, and which comments change; without a fault for screen readers."""
    preview(page, DRAFT, "y" * 35 + "\n\nyou fool\n<b>a day</b>\n" + "x" * 60)
    expect(page.locator("#policy-summary")).to_have_text(
        "forum would flag 3 of 4 comments (75.0 %); without a policy, version 7 flags 1."
    )
    insult = page.locator("#policy-result tbody tr", has_text="Insult").locator("td")
    expect(insult).to_have_text(["0.500", "1", "2", "1"])
    threat = page.locator("#policy-result tbody tr", has_text="Threat").locator("td")
    expect(threat).to_have_text(["none", "1", "0", "0"])
    changes = page.locator("#policy-changes li")
    expect(changes).to_have_text(["⚑ flagged now: " + "y" * 35, "⚑ flagged now, by a list: you fool"])
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(page, options=rules)
    assert found.violations_count == 0, found.generate_report()


def test_a_sample_may_be_a_file(page: Page, tmp_path: Path) -> None:
    """A CSV's comments, or lines; a CSV without a column of texts is refused."""
    page.get_by_text("Preview a community's policy").click()
    chooser = page.get_by_label("or from a file")
    sample = page.get_by_label("The sample")
    (tmp_path / "a.csv").write_text('id,content\n1,"you, \nfool"\n2,\n3,a day\n')
    chooser.set_input_files(tmp_path / "a.csv")
    expect(sample).to_have_value("you, fool\na day")
    (tmp_path / "a.txt").write_text("hello\n\nyou\n")
    chooser.set_input_files(tmp_path / "a.txt")
    expect(sample).to_have_value("hello\nyou")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    chooser.set_input_files(tmp_path / "b.csv")
    expect(page.locator("#policy-error")).to_contain_text("no column of texts")


def test_a_faulty_draft_is_named(page: Page) -> None:
    """With its line."""
    preview(page, "policies:\n  forum: {colour: red}\n", "hello")
    expect(page.locator("#policy-error")).to_contain_text("Line 2 of the draft")
    expect(page.locator("#policy-result")).to_be_hidden()

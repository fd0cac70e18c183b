"""The page with a table: uploaded, watched, downloaded, cancelled, refused."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from toxic_testing.inference.core import UNREAD, FakeCore
from toxic_testing.tables import ROWS, files

pytestmark = pytest.mark.timeout(120)

TEXT = "you are a stupid idiot"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A CSV of 300 comments and a row without one."""
    path = tmp_path / "comments.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "content"])
        writer.writerows([[index, f'{TEXT}, "{index}"'] for index in range(300)])
        writer.writerow([300, ""])
    return path


def upload(page: Page, file: Path) -> None:
    """Choose a file and have it scored."""
    page.get_by_label("or drop it here").set_input_files(file)
    page.get_by_role("button", name="Score the file").click()


def test_a_file_is_watched_and_downloaded(page: Page, file: Path) -> None:
    """First rows on the page, all in the download; there after a reload, until it is removed."""
    upload(page, file)
    summary = page.locator("#file-summary")
    expect(summary).to_contain_text("300 rows scored by version 7. 1 row couldn't be scored")
    expect(page.locator("#file-result tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Show more rows").click()
    expect(page.locator("#file-result tbody tr")).to_have_count(100)
    expect(page.locator("#file-result tbody tr").first).to_contain_text(f'{TEXT}, "0"')
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the scores").click()
    assert downloading.value.suggested_filename == "scores.csv"
    downloaded = Path(downloading.value.path()).read_text()
    rows = list(csv.DictReader(io.StringIO(downloaded, newline="")))
    assert [row["id"] for row in rows] == [str(index) for index in range(301)]
    assert rows[0]["score_toxic"] != ""
    assert rows[300]["score_toxic"] == ""
    page.reload()
    expect(summary).to_contain_text("300 rows")
    page.get_by_role("button", name="Remove it from the server").click()
    expect(page.locator("#file-result")).to_be_hidden()
    page.reload()
    expect(page.locator("#health")).to_have_attribute("data-state", "ready")
    expect(page.locator("#file-result")).to_be_hidden()


@pytest.fixture
def table(page: Page, tmp_path: Path) -> Page:
    """The page with the scores of four comments, one of them empty, in two languages."""
    texts = ["y" * 60, "hola, " + "a" * 20, "", "a long day " * 7]
    (tmp_path / "c.csv").write_text("content\n" + "\n".join(f'"{text}"' for text in texts) + "\n")
    upload(page, tmp_path / "c.csv")
    expect(page.locator("#file-result tbody tr")).to_have_count(4)
    return page


def lines(page: Page) -> list[str]:
    """Return the lines of the rows that are shown, in order."""
    return page.locator("#file-result tbody td:first-child").all_text_contents()


def test_a_table_is_sorted_filtered_and_searched(table: Page) -> None:
    """By score, label and word, with the number of flagged rows, a histogram and each row's language."""
    count = table.locator("#table-count")
    expect(count).to_have_text("4 of 4 rows · 2 flagged")
    expect(table.locator("#file-result tbody tr").nth(1)).to_contain_text("Español")
    table.get_by_role("button", name="Toxic", exact=True).click()
    assert lines(table) == ["5", "2", "3", "4"]
    expect(table.locator("th", has_text="Severe toxic")).not_to_have_attribute("aria-sort", "descending")
    expect(table.get_by_role("columnheader", name="Toxic", exact=True)).to_have_attribute(
        "aria-sort", "descending"
    )
    table.get_by_label("Show", exact=True).select_option("flagged as insult")
    expect(count).to_have_text("2 of 4 rows · 2 flagged")
    table.get_by_label("Show", exact=True).select_option("not scored")
    assert lines(table) == ["4"]
    table.get_by_label("Show", exact=True).select_option("all rows")
    table.get_by_label("Search").fill("HOLA")
    assert lines(table) == ["3"]
    expect(table.locator("#histogram-flagged")).to_have_text("2 of 3 flagged as toxic")
    table.get_by_label("Distribution of").select_option("Threat")
    expect(table.locator("#histogram-flagged")).to_have_text("2 of 3 flagged as threat")
    expect(table.get_by_role("img", name="Histogram of Threat")).to_be_visible()


def test_a_whole_text_is_shown_on_demand(table: Page) -> None:
    """At 1280 pixels all labels are visible beside it."""
    table.set_viewport_size({"width": 1280, "height": 900})
    region = table.get_by_role("region", name="Rows with their scores")
    assert region.evaluate("element => element.scrollWidth <= element.clientWidth")
    whole = table.get_by_role("button", name="a long day")
    before = whole.evaluate("element => element.clientHeight")
    whole.click()
    assert whole.evaluate("element => element.clientHeight") > before
    table.set_viewport_size({"width": 390, "height": 800})
    assert table.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_table(table: Page, scheme: Any) -> None:
    """Names, roles, contrast; with a sorted column, an open text and a row that has an error."""
    table.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    table.get_by_role("button", name="Toxic", exact=True).click()
    table.get_by_role("button", name="a long day").click()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(table, options=rules)
    assert found.violations_count == 0, found.generate_report()


def test_progress_shows_until_the_end(page: Page, site: Any, core: FakeCore, file: Path) -> None:
    """A bar shows the rows done of the total, also after a reload."""
    core.held = held = asyncio.Event()
    upload(page, file)
    expect(page.get_by_text("Scoring: 0 of 301 rows")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Scoring")).to_have_attribute("value", "0")
    expect(page.get_by_role("button", name="Score the file")).to_be_disabled()
    page.reload()
    expect(page.get_by_text("Scoring: 0 of 301 rows")).to_be_visible()
    site.call(held.set)
    expect(page.locator("#file-summary")).to_contain_text("300 rows")
    expect(page.locator("#file-progress")).to_be_hidden()


def test_a_file_is_cancelled(page: Page, site: Any, core: FakeCore, file: Path) -> None:
    """Scoring ends, and another file can be scored."""
    core.held = held = asyncio.Event()
    upload(page, file)
    expect(page.get_by_text("Scoring: 0 of 301 rows")).to_be_visible()
    with page.expect_response(lambda response: response.request.method == "DELETE") as deleting:
        page.get_by_role("button", name="Cancel").click()
    assert deleting.value.status == 204
    assert core.cancelled
    expect(page.locator("#file-progress")).to_be_hidden()
    expect(page.get_by_role("alert")).to_have_count(0)
    site.call(held.set)
    upload(page, file)
    expect(page.locator("#file-summary")).to_contain_text("300 rows")


@pytest.mark.parametrize(
    ("content", "reason"),
    [("a,b\n1,2\n", "no column of texts"), (f"content\n{'y' * 250_000}\n", "larger than")],
    ids=["no-column", "too-large"],
)
def test_a_file_that_can_t_be_scored_is_refused(
    page: Page, tmp_path: Path, content: str, reason: str
) -> None:
    """With the reason, and another can be chosen."""
    (tmp_path / "wrong.csv").write_text(content)
    upload(page, tmp_path / "wrong.csv")
    expect(page.get_by_role("alert")).to_contain_text(reason)
    expect(page.get_by_role("button", name="Score the file")).to_be_enabled()


def test_a_formula_stays_text(page: Page, tmp_path: Path) -> None:
    """A cell that a spreadsheet would run is disarmed in the file, and markup is text on the page."""
    (tmp_path / "c.csv").write_text("content\n=1+1\n<img src=x onerror=alert(1)>\n")
    upload(page, tmp_path / "c.csv")
    cells = page.locator("#file-result tbody td:nth-child(2)")
    expect(cells).to_have_text(["'=1+1", "<img src=x onerror=alert(1)>"])
    assert page.locator("#file-result img").count() == 0


def test_a_file_that_is_read_otherwise_is_described(page: Page, core: FakeCore, tmp_path: Path) -> None:
    """Its encoding and its column of texts are chosen on the page, and its first rows show that column."""
    path = tmp_path / "comments.csv"
    path.write_bytes("id;text;отзыв\n1;-;привет\n".encode("cp1251"))
    page.get_by_text("If the file isn't read as you expect").click()
    page.get_by_label("Column of the texts").fill("отзыв")
    page.get_by_label("Encoding").select_option("windows-1251")
    upload(page, path)
    expect(page.locator("#file-summary")).to_contain_text("1 row scored")
    expect(page.locator("#file-result tbody tr").first).to_contain_text("привет")
    assert [text.content for text in core.texts] == ["привет"]


def test_a_workbook_is_scored(page: Page, core: FakeCore, tmp_path: Path) -> None:
    """A table of any format, without a choice."""
    content, _ = files()["comments.xlsx"]
    (tmp_path / "comments.xlsx").write_bytes(content)
    upload(page, tmp_path / "comments.xlsx")
    expect(page.locator("#file-summary")).to_contain_text(f"{len(ROWS)} rows scored")
    assert [text.content for text in core.texts] == [row[1] for row in ROWS]


def test_the_chosen_column_outlasts_a_reload(page: Page, tmp_path: Path) -> None:
    """The page shows its texts again, and without it the scores: the column's name isn't in the file."""
    (tmp_path / "c.csv").write_text("id,remark\n1,a lovely day\n")
    page.get_by_text("If the file isn't read as you expect").click()
    page.get_by_label("Column of the texts").fill("remark")
    upload(page, tmp_path / "c.csv")
    row = page.locator("#file-result tbody tr")
    expect(row).to_contain_text("a lovely day")
    page.reload()
    expect(row).to_contain_text("a lovely day")
    page.evaluate("sessionStorage.removeItem('column')")
    page.reload()
    expect(row).to_contain_text("0.1")
    expect(row).not_to_contain_text("a lovely day")


def test_rows_that_the_model_can_t_read_are_not_decided(page: Page, tmp_path: Path) -> None:
    """They are marked, and are none of those that weren't flagged."""
    (tmp_path / "c.csv").write_text(f"content\n{UNREAD} text\na lovely day\n")
    upload(page, tmp_path / "c.csv")
    expect(page.locator("#file-result tbody tr").first).to_contain_text("not decided")
    for shown, expected in (("not flagged", ["3"]), ("not decided", ["2"])):
        page.get_by_label("Show", exact=True).select_option(label=shown)
        expect(page.locator("#file-result tbody td:first-child")).to_have_text(expected)

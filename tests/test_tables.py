"""A table comes back row for row, with the same scores, through every way into the product."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toxic_batch.blocks import columns_of, plan
from toxic_batch.reading import read_block
from toxic_batch.storage import Place
from toxic_batch.worker import append_scores
from toxic_core.contract import open_bundle
from toxic_core.tables import TableOptions
from toxic_core.text import is_blank
from toxic_inference.tables.writer import harmless
from toxic_model.opening import open_model
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import TableScorer
from toxic_testing.forking import quick_python
from toxic_testing.inference.bundles import WORDS, BundleFactory
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.tables import workbook
from toxic_training.data.raw_tables import read_raw
from toxic_training.kedro_project.chunked_tables import ChunkedTableDataset
from toxic_training.scoring.table_scoring import ScoredChunks

pytestmark = pytest.mark.slow

HEADER = ("id", "Comment", "lang", "note")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1250", "cp1251", "cp1252", "iso8859-15")
DELIMITERS = (",", ";", "\t", "|")
MARKED = {"utf-8-sig", "utf-16"}
OPTIONS = ScoringOptions(batch_tokens=8_192, max_windows=400, overlap=16)
EXAMPLES = 12

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Written:
    """A table as a file.

    Attributes:
        name: the file's.
        content: its bytes.
        rows: its cells, without the header.
        options: what its owner must declare.
    """

    name: str
    content: bytes
    rows: Rows
    options: TableOptions

    @property
    def declared(self) -> dict[str, str]:
        """What its owner must declare, as form fields and query parameters."""
        return {"encoding": self.options.encoding} if self.options.encoding else {}


def rows_in(encoding: str) -> st.SearchStrategy[Rows]:
    """Return rows of any signs that an encoding has: delimiters, quotes and line ends among them."""
    signs = st.characters(codec=encoding, exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    part = st.one_of(st.sampled_from(WORDS), st.sampled_from([*',;|"\t\n', "\r\n", '""', "'"]), signs)
    text = st.lists(part, min_size=1, max_size=8).map(" ".join).filter(lambda found: not is_blank(found))
    language = st.sampled_from(["", "en", "pt-BR"])
    note = st.one_of(
        st.just(""), st.sampled_from(["a|b", "=1+1", "1,5", 'say "so"']), signs.filter(str.strip)
    )
    numbered = st.lists(st.tuples(text, language, note), min_size=1, max_size=6)
    return numbered.map(
        lambda rows: tuple((str(number), *cells) for number, cells in enumerate(rows, start=1))
    )


@st.composite
def written(draw: st.DrawFn) -> Written:
    """Return a table that pandas, a spreadsheet's CSV export or openpyxl wrote."""
    how = draw(st.sampled_from(["pandas", "export", "export", "workbook", "parquet"]))
    encoding = draw(st.sampled_from(ENCODINGS)) if how in {"pandas", "export"} else "utf-8"
    rows = draw(rows_in(encoding))
    if how == "workbook":
        # XML has no carriage returns, and Excel writes none.
        rows = tuple(tuple(cell.replace("\r", "") for cell in cells) for cells in rows)
    frame = pd.DataFrame(rows, columns=list(HEADER))
    if how == "workbook":
        return Written("table.xlsx", workbook(frame), rows, TableOptions())
    if how == "parquet":
        return Written("table.parquet", frame.to_parquet(index=False), rows, TableOptions())
    delimiter = draw(st.sampled_from(DELIMITERS))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    if how == "pandas":
        text = frame.to_csv(index=False, sep=delimiter, lineterminator=end)
    else:
        buffer = io.StringIO(newline="")
        # As LibreOffice writes: every text in quotes, numbers without.
        writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(HEADER)
        writer.writerows((int(number), *cells) for number, *cells in rows)
        text = buffer.getvalue()
    declared = encoding if encoding not in {*MARKED, "utf-8"} else None
    return Written("table.csv", text.encode(encoding), rows, TableOptions(encoding=declared))


@pytest.fixture(scope="module")
def bundle(build_bundle: BundleFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, as version 1 of a folder of versions."""
    return build_bundle(tmp_path_factory.mktemp("models") / "1")


@pytest.fixture(scope="module")
def scorer(bundle: Path) -> TableScorer:
    """What scores tables without the service."""
    model = open_model(open_bundle(bundle), threads=1, overlap=OPTIONS.overlap, precision="float32")
    return TableScorer(model, "1", OPTIONS)


@pytest.fixture(scope="module")
def client(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service over the same model."""
    port = free_port()
    environment = {
        "INFERENCE_PORT": str(port),
        "INFERENCE_MODEL_DIRECTORY": str(bundle.parent),
        "INFERENCE_PRECISION": "float32",
    }
    folder = tmp_path_factory.mktemp("service")
    python = quick_python("inference")
    server = Server(("-m", "toxic_inference"), environment=environment, folder=folder, python=python)
    server.logs.wait_for("route.moved")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client
    server.kill()


def by_predict(client: httpx.Client, table: Written) -> list[dict[str, str]]:
    """Send the file as the body."""
    headers = {"content-type": "text/csv", "accept": "text/csv"}
    answer = client.post("/predict", content=table.content, headers=headers, params=table.declared)
    return _rows(answer)


def by_jobs(client: httpx.Client, table: Written) -> list[dict[str, str]]:
    """Send the file as the body, to be scored in the background."""
    job = client.post(
        "/jobs", content=table.content, headers={"content-type": "text/csv"}, params=table.declared
    )
    return _result(client, job)


def by_the_page(client: httpx.Client, table: Written) -> list[dict[str, str]]:
    """Send the form that the page sends."""
    fields = {"text_column": "", "encoding": "", "delimiter": "", **table.declared}
    return _result(client, client.post("/jobs", data=fields, files={"file": (table.name, table.content)}))


def _result(client: httpx.Client, answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 202, answer.text
    path = f"/jobs/{answer.json()['id']}"
    while (state := client.get(path).json()["state"]) in {"queued", "running"}:
        pass
    assert state == "done"
    return _rows(client.get(f"{path}/result"))


def _rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def by_make_score(scorer: TableScorer, file: Path, table: Written) -> pd.DataFrame:
    """Score the file as `make score` does."""
    out = file.with_name("scored.parquet")
    given = ChunkedTableDataset(file=str(file), option="IN", encoding=table.options.encoding)
    ChunkedTableDataset(file=str(out), option="OUT").save(ScoredChunks(given.load(), scorer))
    scored: pd.DataFrame = pd.read_parquet(out)
    return scored


def by_make_batch(scorer: TableScorer, file: Path, table: Written) -> pd.DataFrame:
    """Score the file as `make batch` does, in blocks of two or three rows."""
    place = Place.of(str(file))
    columns = columns_of(place, table.options)
    parts = []
    for block in plan([place], block_bytes=60, options=table.options):
        rows, problems = read_block(block, place, columns, table.options)
        parts.append(append_scores(rows, scorer, problems).to_pandas())
    together: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return together


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=written())
def test_every_way_in_reads_the_same_rows_and_gives_the_same_scores(
    table: Written, client: httpx.Client, scorer: TableScorer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Six ways: /predict, /jobs, the page's form, `make score`, `make batch`, and training's tables."""
    file = tmp_path_factory.mktemp("tables") / table.name
    file.write_bytes(table.content)
    assert _cells(read_raw(file, table.options).to_dict("records")) == table.rows
    labels = scorer.model.contract.labels
    texts = [cells[1] for cells in table.rows]
    expected = scorer.model.score(texts, [cells[2] for cells in table.rows], options=OPTIONS)
    commands: tuple[Callable[..., pd.DataFrame], ...] = (by_make_score, by_make_batch)
    for command in commands:
        scored = command(scorer, file, table).to_dict("records")
        assert _cells(scored) == table.rows
        _check_scores(scored, expected.scores, labels)
    ways: tuple[Callable[..., list[dict[str, str]]], ...] = (by_predict, by_jobs, by_the_page)
    for way in ways:
        answered = way(client, table)
        # A spreadsheet must not run what a caller wrote.
        assert _cells(answered) == tuple(tuple(map(harmless, cells)) for cells in table.rows)
        assert {row["error"] for row in answered} == {""}
        _check_scores(answered, expected.scores, labels)


def _cells(rows: list[Any]) -> Rows:
    return tuple(tuple(str(row[name]) for name in HEADER) for row in rows)


def _check_scores(rows: list[Mapping[str, Any]] | list[Any], expected: Any, labels: tuple[str, ...]) -> None:
    found = np.array([[float(row[f"score_{label}"]) for label in labels] for row in rows])
    np.testing.assert_allclose(found, expected, atol=2e-6)

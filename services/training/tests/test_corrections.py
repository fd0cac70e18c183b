"""From corrections to training rows: the rules, the reading, and an attack."""

import json
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from toxic_core.contract.reference import Distribution, RecentTraffic
from toxic_core.errors import ConfigurationError, MissingDataError
from toxic_testing.training.tables import one_chunk, tidy_additional
from toxic_training.data import corrections as module
from toxic_training.data.corrections import CorrectionParameters, Curated, same_text
from toxic_training.data.feedback_source import (
    KEY_VARIABLE,
    URL_VARIABLE,
    Correction,
    read_corrections,
    read_file,
    read_traffic,
)
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.data.tidying import join
from toxic_training.kedro_project.pipelines.data_processing.nodes import (
    add_corrections,
    collect_digests,
)
from toxic_training.kedro_project.table_datasets import FeedbackDataset, TrafficDataset

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
PARAMETERS = CorrectionParameters(rows_per_actor=10, trusted_actors=("team",), min_scored=2, held_out=0)
ROWS = 100_000
"""Training rows beside the corrections: so many that only `rows_per_actor` limits an actor."""
curate = partial(module.curate, training_rows=ROWS)
KIND = Correction(
    place=1,
    id="1",
    text="you are kind",
    language="en",
    labels={"toxic": False},
    source="native",
    actor="team",
)


def numbered(*corrections: Correction) -> list[Correction]:
    """Return corrections with places and ids."""
    return [replace(each, place=place, id=str(place)) for place, each in enumerate(corrections, start=1)]


def labels_of(curated: Curated) -> dict[str, str]:
    """Return the label `toxic` by text."""
    return dict(zip(curated.table.rows["text"], curated.table.rows["toxic"], strict=True))


def counts_of(curated: Curated) -> dict[str, int]:
    """Return the report's counts."""
    counts = curated.report["counts"]
    assert isinstance(counts, dict)
    return counts


def test_the_last_of_an_actor_s_corrections_of_a_text_counts() -> None:
    """A change of mind, per label; the report has the last place and what each door sent."""
    other = {"toxic": True, "insult": True}
    found = curate(numbered(KIND, replace(KIND, labels=other, source="page"), KIND), PARAMETERS)
    (row,) = found.table.rows.to_dict("records")
    assert (row["toxic"], row["insult"], row["threat"]) == ("0", "1", "")
    assert counts_of(found)["superseded"] == 2
    assert (found.report["cursor"], found.report["sources"]) == (3, {"native": 2, "page": 1})
    assert found.ids == ["1", "2", "3"], "the corrections of the text, whether their judgement stands or not"
    assert found.report["digest"] == found.table.digest


def test_the_majority_of_the_actors_decides_and_a_tie_decides_nothing() -> None:
    """Contradictions between actors are counted."""
    yes = replace(KIND, labels={"toxic": True})
    two_to_one = [replace(KIND, actor="a"), replace(yes, actor="b"), replace(yes, actor="c")]
    tie = [replace(each, text="never mind") for each in (replace(KIND, actor="a"), replace(yes, actor="b"))]
    found = curate(numbered(*two_to_one, *tie), PARAMETERS)
    assert labels_of(found) == {"you are kind": "1"}
    assert (counts_of(found)["contradicted"], counts_of(found)["tied"]) == (2, 1)


def test_texts_that_look_alike_are_one() -> None:
    """Case, spacing, punctuation, width and repeated letters make no other text; words do."""
    alike = ["You are KIND!!", "you  are kind", "y.o.u are kiiind", "ｙｏｕ are kind"]
    assert len({same_text(text) for text in alike}) == 1
    assert same_text("you are kinder") != same_text(alike[0])
    assert same_text("😀") != same_text("!!")
    assert len(curate(numbered(*(replace(KIND, text=text) for text in alike)), PARAMETERS).table.rows) == 1


def test_an_actor_counts_on_so_many_texts_unless_it_is_trusted() -> None:
    """By the key or the peer, under any name that the caller gives."""
    texts = [f"text {letter}" for letter in "abcdefghijklmnopqrst"]
    filed = [replace(KIND, text=text, actor=actor) for text in texts for actor in ("team", "one")]
    found = curate(numbered(*filed), PARAMETERS)
    assert len(found.table.rows) == 20
    assert found.report["actors"] == {"team": 1.0, "one": 0.5}
    assert counts_of(found)["over_limit"] == 10
    found = curate(numbered(*(each for each in filed if each.actor == "one")), PARAMETERS)
    assert len(found.table.rows) == 10
    assert counts_of(found)["not_kept"] == 10


def test_the_texts_that_a_limit_keeps_are_not_all_held_out() -> None:
    """The limit and the draw are by different digits of a text's digest."""
    filed = numbered(*(replace(KIND, text=f"text number {n}", actor="one") for n in range(500)))
    parameters = CorrectionParameters(rows_per_actor=50, held_out=0.2)
    found = curate(filed, parameters)
    assert 30 <= len(found.table.rows) < 50
    assert len(found.table.rows) + counts_of(found)["not_reviewed"] == 50
    shown = set(found.traffic.rows["text"])
    assert len(shown) == counts_of(found)["not_reviewed"], "they show what the traffic is like"
    assert shown.isdisjoint(found.table.rows["text"])


def test_an_actor_counts_on_a_share_of_the_training_rows() -> None:
    """A small training is poisoned by fewer texts than a large one."""
    filed = numbered(*(replace(KIND, text=f"text {letter}", actor="one") for letter in "abcdefgh"))
    parameters = CorrectionParameters(max_actor_share=0.01)
    assert len(curate(filed, parameters, training_rows=300).table.rows) == 3
    assert len(curate(filed, parameters, training_rows=99).table.rows) == 0


def test_an_actor_that_contradicts_the_champion_is_reported() -> None:
    """Its texts stay: in new traffic, a correction contradicts the champion."""
    filed = [
        replace(KIND, text=f"text {letter}", actor=actor, labels={"toxic": actor == "odd"})
        for actor, letters in (("odd", "abc"), ("even", "def"))
        for letter in letters
    ]
    found = curate(numbered(*filed), PARAMETERS, score=lambda texts: np.full(len(texts), 0.01, np.float32))
    assert found.report["outliers"] == {"odd": 1.0}
    assert len(found.table.rows) == 6


@pytest.mark.parametrize("language", ["xx", "tlh", "EN-us", ""])
def test_what_the_service_accepts_training_takes(language: str) -> None:
    """A language that training doesn't know is identified from the text; no training ends because of it."""
    text = "this is a plain English sentence about the weather of the last week"
    filed = [replace(KIND, text=text, language=language), replace(KIND, text=None), replace(KIND, labels={})]
    tables, report, ids = add_corrections(
        {}, numbered(*filed), champion=lambda: None, train=one_chunk(join([])), parameters=PARAMETERS
    )
    parameters = DataParameters(
        train=SourceParameters(),
        validation=SourceParameters(),
        additional={name: SourceParameters() for name in tables},
    )
    tidied = tidy_additional(tables, parameters)
    assert tidied.comments["language"].tolist() == ["en"]
    assert tidied.comments["toxic"].tolist() == [0.0]
    assert ids == ["1"]
    assert report["counts"]["withheld"] == report["counts"]["unlabelled"] == 1  # type: ignore[index]
    assert collect_digests("t", "v", tables)["feedback"] == report["digest"]


def test_reviewed_texts_are_held_out_for_good() -> None:
    """A share is never trained on, reviewed or not yet; what one actor decides alone isn't a test."""
    texts = [f"text {letter}{other}" for letter in "abcdefghij" for other in "klmno"]
    parameters = CorrectionParameters(trusted_actors=("team",), held_out=0.5)
    trained: list[set[str]] = []

    def held_out(*actors: str, texts: list[str] = texts) -> set[str]:
        filed = [replace(KIND, text=text, actor=actor) for text in texts for actor in actors]
        found = curate(numbered(*filed), parameters)
        test, table = set(found.test.rows["text"]), set(found.table.rows["text"])
        assert not test & table
        assert len(test) + len(table) + counts_of(found)["not_reviewed"] == len(texts)
        trained.append(table)
        assert len(found.ids) == len(actors) * len(table), "lineage lists what was trained on"
        return test

    assert 10 < len(held_out("team")) < 40
    assert held_out("a", "b") == held_out("team")
    assert held_out("a") == set()
    assert all(table == trained[0] for table in trained), "no text was trained on before its review"
    assert held_out("team", texts=texts[:20]) == held_out("team") & set(texts[:20])


def test_a_label_that_one_actor_judges_alone_is_no_test_label() -> None:
    """Two actors who judge different labels of a text don't confirm each other."""
    parameters = CorrectionParameters(trusted_actors=("team",), held_out=1)
    one, two = (
        replace(KIND, labels={"toxic": True}, actor="a"),
        replace(KIND, labels={"insult": False}, actor="b"),
    )
    alone = curate(numbered(one, two), parameters)
    assert alone.test.rows.empty
    assert counts_of(alone)["not_reviewed"] == 1
    confirmed = curate(numbered(one, two, replace(one, actor="c")), parameters)
    (row,) = confirmed.test.rows.to_dict("records")
    assert (row["toxic"], row["insult"]) == ("1", "")


def test_without_corrections_there_is_no_table() -> None:
    """Training continues, and its lineage lists none."""
    tables, report, _ = add_corrections(
        {}, (), champion=lambda: None, train=one_chunk(join([])), parameters=PARAMETERS
    )
    assert tables == {"feedback": None, "feedback_test": None, "feedback_traffic": None}
    assert (report["rows"], report["cursor"]) == (0, 0)


def test_memory_does_not_grow_with_the_number_of_corrections() -> None:
    """They stream through a file; only rows that are kept are in memory."""

    def stream() -> Iterator[Correction]:
        for place in range(20_000):
            yield replace(KIND, place=place, id=str(place), text=f"text number {place} " * 20, actor="one")

    tracemalloc.start()
    found = curate(stream(), PARAMETERS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.table.rows) == 10
    assert peak < 2_000_000, "the texts are 8 MB"


class _Service(BaseHTTPRequestHandler):
    """An export of three corrections in chunks; the first one ends early, without the last chunk."""

    protocol_version = "HTTP/1.1"
    keys: list[str | None]
    afters: list[str]
    traffic: bytes
    cut: Callable[[bytes], bytes]

    def do_GET(self) -> None:
        """Answer."""
        self.keys.append(self.headers["authorization"])
        if self.headers["authorization"] != "Bearer operator":
            self.send_error(401)
            return
        if self.path == "/traffic":
            self.send_response(200 if self.traffic else 204)
            self.send_header("content-length", str(len(self.traffic)))
            self.end_headers()
            self.wfile.write(self.traffic)
            return
        after = self.path.rpartition("after=")[2]
        self.afters.append(after)
        rows = [
            {
                "id": f"i{n}",
                "text": "you are kind",
                "toxic": n % 2,
                "source": "page",
                "caller": "team",
                "place": n,
            }
            for n in (1, 2, 3)
            if n > int(after)
        ]
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(_chunk(lines) + _chunk(b"") if len(self.afters) > 1 else type(self).cut(lines))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def service() -> Iterator[str]:
    """Start a service; return its address."""
    _Service.keys, _Service.afters, _Service.traffic = [], [], b""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


@pytest.mark.parametrize(
    ("cut", "after"),
    [
        pytest.param(lambda lines: _chunk(lines[: lines.index(b"\n") + 1]), "1", id="after a line"),
        pytest.param(lambda lines: _chunk(lines[: len(lines) // 2]), "1", id="within a line"),
        pytest.param(lambda lines: _chunk(lines)[: len(lines) // 2], "0", id="within a chunk"),
    ],
)
def test_an_export_that_breaks_off_continues_after_the_last_correction(
    service: str, cut: Callable[[bytes], bytes], after: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By its cursor, with the operator's key, from the address in the environment."""
    monkeypatch.setattr(_Service, "cut", staticmethod(cut), raising=False)
    monkeypatch.setenv(URL_VARIABLE, service)
    monkeypatch.setenv(KEY_VARIABLE, "operator")
    found = list(FeedbackDataset(str(tmp_path / "none.csv")).load())
    assert [each.id for each in found] == ["i1", "i2", "i3"]
    assert found[0] == replace(KIND, id="i1", language="", labels={"toxic": True}, source="page")
    assert _Service.afters == ["0", after]


def test_the_traffic_is_what_the_service_counted(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None before it has counted enough, from a database, and if the answer is another; training goes on."""
    histogram = Distribution(edges=(0.0, 0.5, 1.0), counts=(90, 10))
    traffic = RecentTraffic(
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
        watched_seconds=86_400,
        languages={"en": 100},
        lengths=histogram,
        label="toxic",
        scores=histogram,
    )
    assert read_traffic(service, "operator") is None
    monkeypatch.setattr(_Service, "traffic", traffic.model_dump_json().encode())
    assert read_traffic(f"{service}/", "operator") == traffic
    assert read_traffic(service, "client") is read_traffic("http://127.0.0.1:9") is None
    assert read_traffic("sqlite:////nowhere/feedback.db") is read_traffic("") is None
    monkeypatch.setenv(URL_VARIABLE, service)
    monkeypatch.setenv(KEY_VARIABLE, "operator")
    assert TrafficDataset().load() == traffic
    monkeypatch.setattr(_Service, "traffic", b"{}")
    assert TrafficDataset().load() is None


def test_an_address_that_does_not_serve_is_explained(service: str) -> None:
    """The message names the variable to set."""
    for url, key, error, says in (
        (service, "client", ConfigurationError, KEY_VARIABLE),
        ("ftp://nowhere", "", ConfigurationError, URL_VARIABLE),
        ("http://127.0.0.1:9", "", MissingDataError, URL_VARIABLE),
        ("sqlite:////nowhere/feedback.db", "", MissingDataError, URL_VARIABLE),
        ("postgresql://host:port/feedback", "", ConfigurationError, URL_VARIABLE),
    ):
        with pytest.raises(error, match=says):
            list(read_corrections(url, key))


def test_a_downloaded_export_is_read_as_before(tmp_path: Path) -> None:
    """An empty text was withheld; without callers, the file itself is the actor."""
    file = tmp_path / "feedback.csv"
    file.write_text("id,text,language,toxic\na,you are kind,en,0\nb,,en,1\n", encoding="utf-8")
    first, second = read_file(file)
    assert first == replace(KIND, id="a", source="unknown", actor="feedback.csv")
    assert second.text is None
    assert list(FeedbackDataset(str(file)).load()) == [first, second]


def test_an_export_with_unknown_callers_and_sources_is_read(tmp_path: Path) -> None:
    """A correction without a caller is the file's; a source that the service doesn't have is `other`."""
    file = tmp_path / "feedback.csv"
    rows = "a,you are kind,0,native,\nb,never mind,0,any text,key-1\n"
    file.write_text(f"id,text,toxic,source,caller\n{rows}", encoding="utf-8")
    assert [(each.actor, each.source) for each in read_file(file)] == [
        ("feedback.csv", "native"),
        ("key-1", "other"),
    ]


def test_a_new_database_has_no_corrections_and_an_old_one_counts_without_limit(tmp_path: Path) -> None:
    """What was stored before callers were is from one trusted actor; a caller without a name isn't."""
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as database:
        database.execute("VACUUM")
        url = f"sqlite:///{tmp_path}/feedback.db"
        assert list(read_corrections(url)) == []
        database.executescript(
            """
            CREATE TABLE correction (place INTEGER PRIMARY KEY, id, text, language, source, caller);
            CREATE TABLE correction_label (id, label, value);
            INSERT INTO correction VALUES (1, 'a', 'you are kind', 'en', 'native', NULL),
                                          (2, 'b', 'never mind', 'en', 'native', '');
            """
        )
        assert [each.actor for each in read_corrections(url)] == ["unknown", "unnamed"]
    assert "unknown" in CorrectionParameters().trusted_actors


def test_a_database_of_the_first_release_has_to_be_migrated(tmp_path: Path) -> None:
    """The service migrates it at its start; the message asks for that."""
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as database:
        database.execute("CREATE TABLE feedback (id, text)")
    with pytest.raises(MissingDataError, match=r"[Ss]tart this release's inference service"):
        list(read_corrections(f"sqlite:///{tmp_path}/feedback.db"))


def test_lineage_lists_every_correction_of_a_text_that_is_trained_on() -> None:
    """Also the one that gave the text but was outvoted; not those of texts that aren't trained on."""
    outvoted = replace(KIND, text="You are KIND!", labels={"toxic": True}, actor="odd")
    tied = [
        replace(KIND, text="never mind", labels={"toxic": value}, actor=f"{value}") for value in (True, False)
    ]
    majority = [replace(KIND, actor=actor) for actor in ("a", "b")]
    found = curate(numbered(outvoted, *tied, *majority), PARAMETERS)
    assert found.table.rows["text"].tolist() == ["You are KIND!"]
    assert found.ids == ["1", "4", "5"]


def test_a_later_actor_can_t_replace_a_text() -> None:
    """The first text, door and stated language stay; a later language fills in an empty one."""
    loud = replace(KIND, text="YOU are kind", language="de", source="page", actor="other")
    for first, language in ((KIND, "en"), (replace(KIND, language=""), "de")):
        (row,) = curate(numbered(first, loud), PARAMETERS).table.rows.to_dict("records")
        assert (row["text"], row["language"], row["source"]) == ("you are kind", language, "native")


def test_one_actor_s_false_corrections_hardly_change_the_next_model() -> None:
    """5,000 of them cost at most 0.002 of test AUC; a linear model stands in for the classifier."""
    train = pd.read_csv(SAMPLE / "jigsaw-toxic-comment-train.csv")
    test = pd.read_csv(SAMPLE / "test.csv").merge(pd.read_csv(SAMPLE / "test_labels.csv"), on="id")
    test = test[test["toxic"] >= 0]
    words = HashingVectorizer(n_features=2**16, analyzer="char_wb", ngram_range=(2, 4))

    def auc(corrections: Iterable[Correction], parameters: CorrectionParameters) -> float:
        added = curate(corrections, parameters, training_rows=len(train)).table.rows
        texts = [*train["comment_text"], *added["text"], *added["text"]]
        labels = [*train["toxic"], *added["toxic"].astype(int), *added["toxic"].astype(int)]
        model = LogisticRegression(C=10, max_iter=300).fit(words.transform(texts), labels)
        return float(roc_auc_score(test["toxic"], model.decision_function(words.transform(test["content"]))))

    source = train.sample(5_000, replace=len(train) < 5_000, random_state=7)
    false = [
        Correction(place, str(place), f"{text} {place}", "en", {"toxic": not toxic}, "native", "one key")
        for place, (text, toxic) in enumerate(zip(source["comment_text"], source["toxic"], strict=True))
    ]
    clean = auc((), CorrectionParameters())
    assert clean - auc(false, CorrectionParameters()) <= 0.002
    trusting = CorrectionParameters(trusted_actors=("one key",), held_out=0)
    assert clean - auc(false, trusting) > 0.002, "without a limit, it works"

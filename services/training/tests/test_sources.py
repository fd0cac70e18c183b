"""Tables of any origin: what they are for, how much of them is used, and under which licence."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from toxic_core.errors import InvalidDataError
from toxic_testing.training.tables import (
    raw_table,
    split_comments,
    tidied_test,
    tidied_validation,
    tidy_additional,
    tidy_train,
)
from toxic_training.data import schemas
from toxic_training.data.comments import COLUMNS, LABEL_COLUMNS, Counts
from toxic_training.data.licences import is_left_out, is_share_alike
from toxic_training.data.mixing import equal_shares
from toxic_training.data.parameters import DataParameters, SourceParameters, Use
from toxic_training.data.tidying import join

MakeTable = Callable[..., pd.DataFrame]


def _parameters(
    source: SourceParameters, *, name: str = "world", leave_out: tuple[str, ...] = ()
) -> DataParameters:
    return DataParameters(
        train=SourceParameters(),
        validation=SourceParameters(train_fraction=0),
        additional={name: source},
        leave_out_licences=leave_out,
    )


def _split(
    table: dict[str, list[str]], parameters: DataParameters, *, test: list[str] | None = None
) -> tuple[dict[Use, pd.DataFrame], Counts]:
    *sets, counts = split_comments(
        train=join([]),
        validation=tidied_validation(["in validation alone"]),
        test=tidied_test(test or ["in test alone"]),
        additional=tidy_additional({"world": raw_table(**table)}, parameters),
        parameters=parameters,
    )
    return dict(zip(Use, sets, strict=True)), counts


@pytest.mark.parametrize("use", Use)
def test_a_tables_rows_are_where_its_use_says(use: Use) -> None:
    """A table for tests is never trained on, and one for thresholds isn't measured."""
    sets, counts = _split({"text": ["a", "b"], "toxic": ["0", "1"]}, _parameters(SourceParameters(use=use)))
    assert {name: (table["source"] == "world").sum() for name, table in sets.items()} == {
        name: 2 if name is use else 0 for name in Use
    }
    assert counts[f"rows.{use}"] >= 2


def test_a_text_of_a_table_for_tests_is_nowhere_else() -> None:
    """Also if another file, which is read before, holds it."""
    parameters = _parameters(SourceParameters(use=Use.TEST))
    sets, _ = _split({"text": ["in validation alone"], "toxic": ["1"]}, parameters)
    assert sets[Use.TEST]["source"].tolist() == ["test", "world"]
    assert sets[Use.VALIDATION].empty


def test_a_text_that_only_shows_the_traffic_moves_no_other() -> None:
    """It stays in training, so that nobody can take texts out of it by correcting them."""
    table = {"text": ["in validation alone", "new"], "toxic": ["1", "1"]}
    sets, _ = _split(table, _parameters(SourceParameters(use=Use.TRAFFIC)))
    assert sets[Use.TRAFFIC]["text"].tolist() == ["new"]
    assert sets[Use.VALIDATION]["text"].tolist() == ["in validation alone"]


def test_rows_keep_their_origin_and_licence() -> None:
    """A table may be made of several sources; without the columns it is its own origin."""
    columns = {"source": ["forum", ""], "licence": ["CC0", "MIT"]}
    sets, _ = _split({"text": ["a", "b"], "toxic": ["0", "1"]} | columns, _parameters(SourceParameters()))
    training = sets[Use.TRAINING]
    assert training["origin"].tolist() == ["forum", "world"]
    assert training["licence"].tolist() == ["CC0", "MIT"]
    assert sets[Use.TEST]["licence"].tolist() == [""]


@pytest.mark.parametrize("name", ["train", "validation"])
def test_jigsaws_files_have_no_other_use(name: str) -> None:
    """It would be ignored in part: they come before other tables whatever it is."""
    sources: dict[str, object] = {"train": {}, "validation": {}, name: {"use": "test"}}
    with pytest.raises(ValidationError, match=f"remove {name}.use, set train_fraction"):
        DataParameters.model_validate(sources)


@pytest.mark.parametrize("use", [Use.VALIDATION, Use.THRESHOLDS, Use.TEST, Use.TRAFFIC])
def test_a_table_that_is_not_trained_on_is_not_divided(use: Use) -> None:
    """A `train_fraction` would have no effect."""
    with pytest.raises(ValidationError, match=f"of use {use} isn't divided: remove its train_fraction"):
        SourceParameters(use=use, train_fraction=0.5)


def test_a_licence_of_the_parameters_is_that_of_rows_without_one(raw_train: MakeTable) -> None:
    """Jigsaw's files have no column of licences; a row's own comes first."""
    jigsaw = SourceParameters(language="en", licence="CC-BY-SA-3.0 (labels CC0)")
    table = raw_table(text=["a", "b"], toxic=["0", "1"], licence=["", "MIT"])
    source = SourceParameters(language="en", licence="CC0")
    for leave_out, kept in (
        ((), ["CC-BY-SA-3.0 (labels CC0)", "CC0", "MIT"]),
        (("share-alike",), ["CC0", "MIT"]),
    ):
        parameters = _parameters(source, leave_out=leave_out).model_copy(update={"train": jigsaw})
        tidied = [
            tidy_train(raw_train(["c"], ["0"]), parameters), tidy_additional({"world": table}, parameters)
        ]  # fmt: skip
        assert join(tidied).comments["licence"].tolist() == kept
        assert join(tidied).counts["dropped.train.licence"] == len(leave_out)
        assert join(tidied).counts["read.train"] == 1
    with pytest.raises(InvalidDataError, match="of the table train are licensed for evaluation only"):
        tidy_train(raw_train(["c"], ["0"]).assign(licence="evaluation only"), parameters)


@pytest.mark.parametrize(
    ("licence", "is_bound"),
    [
        ("CC-BY-SA-4.0", True),
        ("CC BY-SA 3.0", True),
        ("MIT / CC-BY-SA-4.0", True),
        ("GPL-3.0", True),
        ("LGPL-2.1", True),
        ("ODbL-1.0", True),
        ("CC-BY-4.0 / OpenRAIL++", False),
        ("CC0 (as on Kaggle; not verified)", False),
        ("", False),
    ],
)
def test_share_alike_licences(licence: str, is_bound: bool) -> None:  # noqa: FBT001 - a test's parameter
    """The card names the same ones that the parameter leaves out."""
    assert is_share_alike(licence) is is_left_out(licence, ["share-alike"]) is is_bound


@pytest.mark.parametrize("use", [Use.TRAINING, Use.VALIDATION, Use.THRESHOLDS, Use.TRAFFIC])
def test_rows_for_evaluation_only_are_refused(use: Use) -> None:
    """The error says which line, and what to do."""
    table = {"text": ["a", "b"], "toxic": ["0", "1"], "licence": ["MIT", "none stated (Evaluation only)"]}
    with pytest.raises(
        InvalidDataError,
        match=r"^1 rows of the table world are licensed for evaluation only, the first on line 3: "
        r"remove them, or put them into an additional table with use: test",
    ):
        _split(table, _parameters(SourceParameters(use=use)))
    sets, _ = _split(table, _parameters(SourceParameters(use=Use.TEST)))
    assert len(sets[Use.TEST]) == 3


def test_soft_labels_are_shares() -> None:
    """They stay as they are, of a text that occurs twice too; other tables have only 0 and 1."""
    table = {
        "text": ["a", "b", "b", "c"],
        "toxic": ["0.25", "0.4", "0.4", ""],
        "insult": ["1", "0", "1", "0.5"],
    }
    sets, _ = _split(table, _parameters(SourceParameters(soft_labels=True)))
    training = sets[Use.TRAINING].set_index("text")
    assert training["toxic"].tolist()[:2] == pytest.approx([0.25, 0.4])
    assert training["insult"].tolist() == [1, 1, 0.5]
    schemas.COMMENTS.validate(sets[Use.TRAINING])
    with pytest.raises(InvalidDataError, match="3 times label_not_0_or_1 in toxic"):
        _split(table, _parameters(SourceParameters()))
    with pytest.raises(InvalidDataError, match="label_not_from_0_to_1 in toxic"):
        _split(table | {"toxic": ["25", "40", "40", ""]}, _parameters(SourceParameters(soft_labels=True)))
    for other in ({"use": Use.VALIDATION}, {"train_fraction": 0.9}):
        with pytest.raises(ValidationError, match="only for training"):
            SourceParameters.model_validate({"soft_labels": True, **other})


def test_licences_can_be_left_out() -> None:
    """One parameter builds a model without share-alike sources; the rows are counted."""
    table = {"text": ["a", "b", "c"], "toxic": ["0", "1", "1"], "licence": ["CC0", "CC-BY-SA-4.0", "GPL-3.0"]}
    sets, counts = _split(table, _parameters(SourceParameters(), leave_out=("gpl", "-SA-")))
    assert sets[Use.TRAINING]["text"].tolist() == ["a"]
    assert counts["dropped.world.licence"] == 2


def test_languages_are_limited_in_equal_shares_of_their_origins() -> None:
    """A large origin makes room for small ones; a language may have a maximum of its own."""
    origins = ["large"] * 20 + ["small"] * 3
    table = {
        "text": [f"{language} {index}" for language in ("de", "en") for index in range(23)],
        "lang": ["de"] * 23 + ["en"] * 23,
        "source": origins * 2,
        "toxic": ["0"] * 46,
    }
    sets, counts = _split(table, _parameters(SourceParameters(rows_per_language=10, rows_of={"en": 4})))
    found = sets[Use.TRAINING].groupby(["language", "origin"]).size().to_dict()
    assert found == {("de", "large"): 7, ("de", "small"): 3, ("en", "large"): 2, ("en", "small"): 2}
    assert counts["dropped.world.thinned"] == 46 - 14


def test_equal_shares_fill_what_small_groups_leave() -> None:
    """The shares sum to the total, or to all there is."""
    assert equal_shares([10, 2, 10], 12) == [5, 2, 5]
    assert equal_shares([1, 2], 12) == [1, 2]
    assert equal_shares([], 3) == []


def test_temperature_makes_languages_and_sources_more_alike() -> None:
    """The total stays; at 0 all have the same number, small ones by whole repeats, up to four times."""
    sizes = {("en", "world"): 60, ("en", "train"): 20, ("de", "world"): 4}
    rows = [
        (f"text {n}", *group) for n, group in enumerate(g for g, size in sizes.items() for _ in range(size))
    ]
    table = pd.DataFrame(rows, columns=["text", "language", "source"]).assign(id="1", origin="", licence="")
    comments = table.assign(**dict.fromkeys(LABEL_COLUMNS, np.float32(0))).reindex(columns=COLUMNS)

    def training(temperature: float) -> pd.DataFrame:
        parameters = _parameters(SourceParameters()).model_copy(update={"temperature": temperature})
        empty = join([])
        tables = {"train": replace(empty, comments=comments), "additional": empty}
        return split_comments(**tables, validation=empty, test=empty, parameters=parameters)[0]

    assert sorted(training(1.0)["text"]) == sorted(table["text"])
    counts = training(0.0).groupby(["language", "source"])["text"].agg(["size", "nunique"])
    assert counts["size"].to_dict() == {("en", "world"): 28, ("en", "train"): 28, ("de", "world"): 16}
    assert counts["nunique"].to_dict() == {("en", "world"): 28, ("en", "train"): 20, ("de", "world"): 4}
    assert training(0.5).equals(training(0.5))

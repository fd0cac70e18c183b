"""Tables in chunks, split on disk, give the rows that the rules give in memory."""

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toxic_core.errors import InvalidDataError
from toxic_training.data.chunks import Chunks, Lazy
from toxic_training.data.comments import COLUMNS, LABEL_COLUMNS, LANGUAGE, ORIGIN, SOURCE, TEXT, Tidied
from toxic_training.data.mixing import TEST, VALIDATION, draws, equal_shares, visible
from toxic_training.data.parameters import DataParameters, SourceParameters, Use
from toxic_training.data.raw_tables import UNREADABLE, read_chunks, read_raw
from toxic_training.data.splitting import split
from toxic_training.data.tidying import join
from toxic_training.kedro_project.pipelines.data_processing.nodes import tidy_train
from toxic_training.kedro_project.tidied_tables import TidiedDataset

pytestmark = pytest.mark.slow

PARAMETERS = DataParameters(
    train=SourceParameters(train_fraction=0.9, non_toxic_per_toxic=1.5),
    validation=SourceParameters(train_fraction=0.5, repeat=3),
    additional={
        "forum": SourceParameters(rows_per_language=60, rows_of={"de": 25}, train_fraction=0.8),
        "teacher": SourceParameters(soft_labels=True, repeat=2),
        "chosen": SourceParameters(use=Use.VALIDATION),
        "low": SourceParameters(use=Use.THRESHOLDS),
        "measured": SourceParameters(use=Use.TEST),
        "usual": SourceParameters(use=Use.TRAFFIC),
    },
    memory_megabytes=256,
)


def _generated(rows: int, *, seed: int) -> pd.DataFrame:
    """Return comments of every source; half of them repeat a text, often with other labels."""
    generator = np.random.default_rng(seed)
    sources = np.array([TEST, *PARAMETERS.sources])
    number = generator.integers(0, rows // 2, rows)
    forms = np.array(["comment {}", "comment  {}", "\u200bcomment {}", "com\uff4dent {}"])
    table = pd.DataFrame(
        {
            "id": [f"i{index}" for index in range(rows)],
            TEXT: [form.format(n) for form, n in zip(generator.choice(forms, rows), number, strict=True)],
            LANGUAGE: generator.choice(["en", "de", "it"], rows, p=[0.7, 0.2, 0.1]),
            SOURCE: generator.choice(sources, rows),
            ORIGIN: generator.choice(["large", "small"], rows, p=[0.9, 0.1]),
            "licence": generator.choice(["", "MIT"], rows),
        }
    )
    for label in LABEL_COLUMNS:
        table[label] = generator.choice(np.array([0, 1, np.nan], np.float32), rows, p=[0.6, 0.3, 0.1])
    soft = table[SOURCE] == "teacher"
    table.loc[soft, LABEL_COLUMNS] = generator.choice(
        np.array([0, 0.25, 0.5, 1, np.nan], np.float32), (soft.sum(), len(LABEL_COLUMNS))
    )
    order = {name: index for index, name in enumerate([TEST, VALIDATION, "train", *PARAMETERS.additional])}
    table = table.iloc[table[SOURCE].map(order).argsort(kind="stable")]
    return table[COLUMNS].astype(join([]).comments.dtypes).reset_index(drop=True)


def _expected(comments: pd.DataFrame, parameters: DataParameters) -> dict[Use, pd.DataFrame]:
    """Return the sets by the rules as they were written for tables in memory."""
    uses = {TEST: Use.TEST, VALIDATION: Use.VALIDATION}
    uses |= {name: source.use for name, source in parameters.additional.items()}
    order = {Use.TEST: 0, Use.TRAINING: 2, Use.TRAFFIC: 3}
    precedence = comments[SOURCE].map(lambda name: order.get(uses.get(name, Use.TRAINING), 1))
    comments = comments.iloc[precedence.argsort(kind="stable")].reset_index(drop=True)
    texts = visible(comments[TEXT])
    group = [comments[SOURCE], texts]
    own = comments[LABEL_COLUMNS]
    share = own.groupby(group).transform("mean")
    is_hard = (own.isna() | own.isin([0, 1])).groupby(group).transform("all")
    comments[LABEL_COLUMNS] = (share >= 0.5).astype("float32").where(share.notna()).where(is_hard, share)
    comments = comments[~texts.duplicated()].reset_index(drop=True)
    sets: dict[Use, list[pd.DataFrame]] = {use: [] for use in Use}
    sets[Use.TEST].append(comments[comments[SOURCE] == TEST])
    for name, source in parameters.sources.items():
        rows = comments[comments[SOURCE] == name]
        if source.use is not Use.TRAINING:
            sets[source.use].append(rows)
            continue
        held = draws(visible(rows[TEXT]), salt="validation" if name == VALIDATION else "holdout")
        is_training = (
            held < source.train_fraction if name == VALIDATION else held >= 1 - source.train_fraction
        )
        sets[Use.VALIDATION].append(rows[~is_training])
        rows = rows[is_training]
        if source.non_toxic_per_toxic is not None:
            toxic = rows[LABEL_COLUMNS].max(axis=1) >= 0.5
            rank = draws(visible(rows[TEXT]), salt="thinning").where(~toxic).rank(method="first")
            rows = rows[toxic | (rank <= int(toxic.sum() * source.non_toxic_per_toxic))]
        kept = [rows.iloc[:0]]
        for language, of_language in rows.groupby(LANGUAGE):
            most = source.rows_of.get(str(language), source.rows_per_language)
            origins = [each for _, each in of_language.groupby(ORIGIN)]
            sizes = [len(each) for each in origins]
            for each, most_of in zip(
                origins, sizes if most is None else equal_shares(sizes, most), strict=True
            ):
                kept.append(each[draws(visible(each[TEXT]), salt="limit").rank(method="first") <= most_of])
        sets[Use.TRAINING].append(rows.loc[pd.concat(kept).index.sort_values()])
    tables = {use: pd.concat([comments.iloc[:0], *parts], ignore_index=True) for use, parts in sets.items()}
    training = tables[Use.TRAINING]
    if parameters.temperature != 1:
        groups = [np.asarray(rows) for rows in training.groupby([LANGUAGE, SOURCE]).indices.values()]
        wanted = np.array([len(each) for each in groups], np.float64) ** parameters.temperature
        drawn = draws(visible(training[TEXT]), salt="temperature").to_numpy()
        chosen = []
        for places, count in zip(groups, np.rint(wanted * len(training) / wanted.sum()), strict=True):
            whole, rest = divmod(min(int(count), 4 * len(places)), len(places))
            chosen += [places] * whole + [places[np.argsort(drawn[places])[:rest]]]
        training = training.iloc[np.concatenate(chosen)]
    repeated = [
        training[training[SOURCE] == name]
        for name, source in parameters.sources.items()
        for _ in range(source.repeat - 1)
    ]
    tables[Use.TRAINING] = pd.concat([training, *repeated], ignore_index=True)
    return tables


def _in_chunks(table: pd.DataFrame, rows: int) -> Chunks:
    return [table.iloc[start : start + rows] for start in range(0, len(table), rows)]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_split_on_disk_gives_the_rows_of_one_in_memory(tmp_path: Path, temperature: float) -> None:
    """The same rows in the same order, with duplicates, conflicts, limits and repeats, for any chunks."""
    parameters = PARAMETERS.model_copy(update={"temperature": temperature})
    table = _generated(3_000, seed=1)
    expected = _expected(table, parameters)
    for rows in (3_000, 700):
        sets, counts = split(_in_chunks(table, rows), parameters, folder=tmp_path / "split")
        for use, chunks in sets.items():
            found = pd.concat(chunks, ignore_index=True)
            assert len(found)
            pd.testing.assert_frame_equal(found, expected[use])
            assert counts[f"rows.{use}"] == len(found)
        assert counts["licence.MIT"] == (expected[Use.TRAINING]["licence"] == "MIT").sum()


def test_a_label_that_an_origin_never_gives_is_unknown_in_its_training_rows(tmp_path: Path) -> None:
    """Other origins, `toxic`, sets that measure, and tables that don't ask for it keep their zeros."""
    masking = PARAMETERS.additional["forum"].model_copy(update={"mask_one_sided": True})
    parameters = PARAMETERS.model_copy(update={"additional": {**PARAMETERS.additional, "forum": masking}})
    table = _generated(3_000, seed=1)
    one_sided = table[TEXT].str.endswith("1")  # a text has one origin, so that its labels are of one
    table[ORIGIN] = np.where(one_sided, "large", "small")
    table.loc[one_sided, ["toxic", "threat"]] = table.loc[one_sided, ["toxic", "threat"]].clip(upper=0)
    table.loc[~one_sided, LABEL_COLUMNS] = 1.0
    before, _ = split([table], PARAMETERS, folder=tmp_path / "before")
    kept = {use: pd.concat(chunks, ignore_index=True) for use, chunks in before.items()}
    after, counts = split([table], parameters, folder=tmp_path / "after")
    masked = {use: pd.concat(chunks, ignore_index=True) for use, chunks in after.items()}
    training = kept[Use.TRAINING]
    rows = (training[SOURCE] == "forum") & (training[ORIGIN] == "large")
    assert counts["masked.forum.threat"] == training.loc[rows, "threat"].notna().sum() > 0
    training.loc[rows, "threat"] = np.nan
    for use in Use:
        pd.testing.assert_frame_equal(masked[use], kept[use])
    assert [name for name in counts if name.startswith("masked")] == ["masked.forum.threat"]


def test_the_files_of_a_split_end_with_its_sets(tmp_path: Path) -> None:
    """A killed run's files are replaced, and its own are removed with the last set."""
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "comments.duckdb").write_bytes(b"half a file")
    sets, _ = split([_generated(50, seed=2)], PARAMETERS, folder=tmp_path / "split")
    assert sum(map(len, sets[Use.TEST]))
    assert len(list((tmp_path / "split").iterdir())) == 1
    del sets
    gc.collect()
    assert not list((tmp_path / "split").iterdir())


def test_a_table_in_chunks_is_tidied_as_a_whole(tmp_path: Path) -> None:
    """Ids, lines and counts don't depend on the chunks; rows keep their positions in the file."""
    file = tmp_path / "train.csv"
    rows = [f"i{n},{'' if n == 7 else f'comment {n}'},{n % 2}\n" for n in range(25)]
    file.write_text("id,comment_text,toxic\n" + "".join(rows[:20]) + 'a,"b" c,0\n' + "".join(rows[20:]))
    parameters = PARAMETERS.model_copy(update={"max_rejected_fraction": 0.1})
    whole = join(list(tidy_train(read_raw(file), parameters)))
    parts = list(tidy_train(read_chunks(file, rows=10), parameters))
    assert [len(part.comments) for part in parts] == [9, 10, 5]
    joined = join(parts)
    pd.testing.assert_frame_equal(joined.comments, whole.comments)
    pd.testing.assert_frame_equal(
        joined.rejected.sort_values("line", ignore_index=True),
        whole.rejected.sort_values("line", ignore_index=True),
    )
    assert joined.counts == whole.counts
    assert joined.rejected["line"].tolist() == [9, 22]


def test_too_many_rejected_rows_are_counted_over_all_chunks(tmp_path: Path) -> None:
    """One bad chunk is accepted if its table has few bad rows, and the error counts the whole table."""
    file = tmp_path / "train.csv"
    rows = [f"i{n},{'' if n < 4 else f'comment {n}'},0\n" for n in range(20)]
    file.write_text("id,comment_text,toxic\n" + "".join(rows))
    parameters = PARAMETERS.model_copy(update={"max_rejected_fraction": 0.2})
    assert sum(len(part.rejected) for part in tidy_train(read_chunks(file, rows=5), parameters)) == 4
    with pytest.raises(InvalidDataError, match="4 of the 20 rows of the table train can't be used"):
        list(tidy_train(read_chunks(file, rows=5), PARAMETERS))


def test_chunks_of_a_file_are_its_rows(tmp_path: Path) -> None:
    """They can be read again; joined, they are the whole table, with its unreadable rows."""
    file = tmp_path / "forum.csv"
    file.write_text('text,toxic\na,0\n"b" c,0\nd,1\ne,1\n')
    chunks = read_chunks(file, rows=2)
    assert [chunk["text"].tolist() for chunk in chunks] == [["a"], ["d", "e"]]
    assert [chunk.index.tolist() for chunk in chunks] == [[0], [2, 3]]
    assert read_raw(file).attrs[UNREADABLE] == [(3, "invalid_quoting")]


def test_a_failed_run_leaves_the_previous_tidied_tables(tmp_path: Path) -> None:
    """Chunks are written beside the folder, which is replaced at the end."""
    tidied = Tidied(_generated(40, seed=3), join([]).rejected, {"read.train": 40})
    dataset = TidiedDataset(str(tmp_path / "tidied"))
    dataset.save([tidied, tidied])

    def failing() -> Iterator[Tidied]:
        yield tidied
        raise InvalidDataError("the rest of the file is damaged")

    with pytest.raises(Exception, match="damaged"):
        dataset.save(Lazy(failing))
    table = dataset.load()
    assert table.rows == table.counts["read.train"] == 80
    expected = join([tidied, tidied]).comments
    pd.testing.assert_frame_equal(pd.concat(table.comments, ignore_index=True), expected)

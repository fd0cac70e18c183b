"""The generated sample: reproducible, shaped like the Jigsaw files, learnable but not trivial."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS, Label
from toxic_core.languages import LANGUAGES, Language
from toxic_core.text import normalise
from toxic_training.data.sample import FILES, Split, generate, write_sample
from toxic_training.data.sample.generator import Comment
from toxic_training.data.sample.phrasebook import Kind, check_phrasebook, load_phrasebook

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[3] / "data" / "sample"
TRAIN, VALIDATION, TEST, TEST_LABELS = FILES

Splits = dict[Split, tuple[Comment, ...]]


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Return the sample as generated."""
    return generate()


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    """Return the committed train file."""
    return pd.read_csv(SAMPLE / TRAIN)


@pytest.fixture(scope="module")
def held_out() -> pd.DataFrame:
    """Return the committed test file with its labels."""
    return pd.read_csv(SAMPLE / TEST).merge(pd.read_csv(SAMPLE / TEST_LABELS), on="id", validate="1:1")


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_equals_the_generated_one(name: str, tmp_path: Path) -> None:
    """Regenerating the sample gives the committed file byte for byte."""
    write_sample(tmp_path)
    assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes(), (
        "data/sample is stale: run `python -m toxic_training.data.sample`"
    )


def test_another_seed_gives_other_comments(splits: Splits) -> None:
    """The comments depend on the seed."""
    other = {comment.text for comment in generate(seed=8)[Split.TRAIN]}
    assert len(other & {comment.text for comment in splits[Split.TRAIN]}) < len(other) / 10


@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [
        (TRAIN, ["id", "comment_text", *LABELS], 2780),
        (VALIDATION, ["id", "comment_text", "lang", "toxic"], 754),
        (TEST, ["id", "content", "lang"], 1070),
        (TEST_LABELS, ["id", "toxic"], 1070),
    ],
)
def test_each_file_has_the_jigsaw_columns(name: str, columns: list[str], rows: int) -> None:
    """Each file has the competition's columns in their order, unique ids and no empty cell."""
    table = pd.read_csv(SAMPLE / name)
    assert list(table.columns) == columns
    assert len(table) == rows
    assert table["id"].is_unique
    assert not table.isna().to_numpy().any()


def test_train_ids_are_sixteen_hexadecimal_digits(train: pd.DataFrame) -> None:
    """Ids in the train file look like Jigsaw's; elsewhere they count from 0."""
    assert train["id"].str.fullmatch(r"[0-9a-f]{16}").all()
    assert pd.read_csv(SAMPLE / VALIDATION)["id"].tolist() == list(range(754))


def test_reading_the_train_file_gives_the_generated_texts(train: pd.DataFrame, splits: Splits) -> None:
    """Newlines, quotes and commas survive CSV."""
    texts = [comment.text for comment in splits[Split.TRAIN]]
    assert Counter(train["comment_text"]) == Counter(texts)
    for mark in ("\n", '"', ",", "https://", "🙂"):
        assert any(mark in text for text in texts), mark


def test_every_language_is_in_every_split(splits: Splits) -> None:
    """Each split has at least 36 comments per language, a quarter to a third of them toxic."""
    for split, comments in splits.items():
        for language in LANGUAGES:
            own = [comment for comment in comments if comment.language == language]
            assert len(own) >= 36, (split, language)
            assert 0.25 <= sum(Label.TOXIC in comment.labels for comment in own) / len(own) <= 0.34


def test_sentences_end_as_their_language_writes_them(splits: Splits) -> None:
    """No space follows a full-width stop, and exclamation marks replace the stop of every script."""
    texts = [comment.text for comments in splits.values() for comment in comments]
    assert not [text for text in texts if re.search(r"[。！？：] (?=\w)|[.。।]!!!", text)]


def test_labels_occur_often_enough_to_learn(train: pd.DataFrame) -> None:
    """Every label has positives in the train file, at plausible rates."""
    positives = train[list(LABELS)].sum()
    assert 0.25 <= positives["toxic"] / len(train) <= 0.30
    assert positives["severe_toxic"] >= 30
    assert positives["obscene"] >= 100
    assert positives["threat"] >= 40
    assert positives["insult"] >= 200
    assert positives["identity_hate"] >= 40


def test_labels_occur_together_plausibly(train: pd.DataFrame) -> None:
    """No label occurs without `toxic`, severe is a subset, and some comments have several labels."""
    labels = train[list(LABELS)]
    assert (labels[labels["toxic"] == 0].sum() == 0).all()
    severe = labels[labels["severe_toxic"] == 1]
    assert (severe[["toxic", "obscene", "insult"]] == 1).all(axis=None)
    assert len(severe) < labels["toxic"].sum() / 5
    assert ((labels["threat"] == 1) & (labels["insult"] == 1)).sum() >= 10
    assert ((labels["identity_hate"] == 1) & (labels["insult"] == 1)).sum() >= 10
    assert ((labels["toxic"] == 1) & (labels.sum(axis=1) == 1)).sum() >= 50


def test_no_comment_occurs_twice(splits: Splits) -> None:
    """No two comments are equal after normalisation, within a split or across splits."""
    texts = [normalise(comment.text) for comments in splits.values() for comment in comments]
    assert all(texts)
    assert len(set(texts)) == len(texts)


def test_a_bag_of_words_learns_most_of_it(train: pd.DataFrame, held_out: pd.DataFrame) -> None:
    """A bag of words reaches an AUC between 0.75 and 0.97 on the test split."""
    # A Chinese or Japanese character is a word, and marks don't end one.
    words = CountVectorizer(token_pattern="[\u3041-\u9fff]|[^\\s!-/:-@।\u3000-\u9fff！-？]{2,}")
    model = LogisticRegression(max_iter=2000).fit(words.fit_transform(train["comment_text"]), train["toxic"])
    scores = pd.Series(model.predict_proba(words.transform(held_out["content"]))[:, 1])
    auc = roc_auc_score(held_out["toxic"], scores)
    by_language = {
        language: round(float(roc_auc_score(rows["toxic"], scores[rows.index])), 3)
        for language, rows in held_out.groupby("lang")
    }
    sys.stdout.write(f"bag of words: AUC {auc:.3f}, by language {by_language}\n")
    assert 0.75 <= auc <= 0.97
    assert min(by_language.values()) > 0.65  # of 50 comments


@pytest.mark.parametrize("language", LANGUAGES)
def test_rude_words_alone_do_not_decide(language: Language, splits: Splits) -> None:
    """Comments without any label use the insults too: in reports, denials and self-mockery."""
    insults = load_phrasebook(language).words["insult"]
    clean = [
        comment for comment in splits[Split.TRAIN] if comment.language == language and not comment.labels
    ]
    assert sum(any(insult in comment.text for insult in insults) for comment in clean) >= 5


def test_a_phrase_with_an_unknown_slot_is_refused() -> None:
    """The error names the slot."""
    book = load_phrasebook(Language.ENGLISH)
    broken = replace(book, phrases={**book.phrases, Kind.THREAT: ("I saw {nobody}.",)})
    with pytest.raises(InvalidDataError, match="nobody"):
        check_phrasebook(broken)


def test_a_kind_without_phrases_is_refused() -> None:
    """The error names the kind."""
    book = load_phrasebook(Language.FRENCH)
    with pytest.raises(InvalidDataError, match=r"fr phrasebook.*threat"):
        check_phrasebook(replace(book, phrases={**book.phrases, Kind.THREAT: ()}))


def test_the_command_writes_the_four_files(tmp_path: Path) -> None:
    """`python -m toxic_training.data.sample --out` creates the folder and reports each file."""
    out = tmp_path / "new" / "sample"
    done = _run("--out", str(out))
    assert done.returncode == 0
    assert sorted(file.name for file in out.iterdir()) == sorted(FILES)
    assert all(name in done.stdout for name in FILES)


def test_the_command_reports_a_write_error_in_one_line(tmp_path: Path) -> None:
    """If the folder can't be created, it prints one line and exits with 1."""
    (tmp_path / "file").write_text("in the way")
    done = _run("--out", str(tmp_path / "file" / "sample"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can't be written" in done.stderr


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "toxic_training.data.sample", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

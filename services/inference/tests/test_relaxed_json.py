import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_inference.http.encodings.relaxed_json import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_VALUES,
    parse_relaxed_json,
)
from toxic_inference.http.errors import MalformedRequestError
from toxic_testing.fuzzing import examples, is_long
from toxic_testing.inference.relaxed_json import SAMPLES, disagreement, mutated

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 0, 2]))
def test_strict_json_has_the_same_value(value: Any, indent: int | None) -> None:
    """Wherever the strict parser reads a text, this one reads the same."""
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        assert parse_relaxed_json(text) == json.loads(text)


@given(st.text(alphabet="{}[]:,'\"\\ \n\tabu0dn1-.eNtruefalsn", max_size=40))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    """And agrees with strict JSON."""
    assert disagreement(text) is None


@pytest.mark.fuzz
def test_mutated_samples_agree_with_strict_json() -> None:
    """The same script runs a million with `python -m toxic_testing.inference.relaxed_json`."""
    draw = random.Random(None if is_long() else 7)  # noqa: S311  not a secret
    assert [
        text for _ in range(examples(2_000)) if disagreement(text := mutated(draw.choice(SAMPLES), draw))
    ] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ("[1,]", [1]),
        ("{a:1,}", {"a": 1}),
        ("{$a_1: 'b'}", {"$a_1": "b"}),
        ("{'a\"b': \"c'd\"}", {'a"b': "c'd"}),
        ("'\\'\\v\\/\\\n'", "'\v/\n"),
        ("'\x01\x7f\u2028'", "\x01\x7f\u2028"),
        (" \v\f[true , false,null]\n", [True, False, None]),
        ("'\\ud83d'", "\ud83d"),
        ("{true: null}", {"true": None}),
    ],
)
def test_what_relaxed_json_adds(text: str, value: object) -> None:
    """Each of the forms, and combinations."""
    assert parse_relaxed_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "{",
            "}",
            "[",
            "[,]",
            "[1,,2]",
            "{,}",
            "{a:1,,}",
            "{a}",
            "{a:}",
            "{a 1}",
            "{1:2}",
            "{-a:1}",
        ),
        *(
            "[1 2]",
            "{a:1 b:2}",
            "'a",
            '"a',
            "'a\\'",
            "a",
            "{a:b}",
            "undefined",
            "True",
            "[1]]",
            "{}{}",
            "//a\n1",
        ),
        *("'\\u12'", "'\\u'", "'\\uzzzz'", "'a' 'b'", "1.", ".1", "01", "0x1", "1e", "--1", "1_0", "\u00a01"),
        *("NaN", "-Infinity", "[Infinity]", "{a:1,'a':2}", "truefalse", "nullx", "{é:1}", "1-2"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """An error is better than a guess."""
    with pytest.raises((json.JSONDecodeError, MalformedRequestError)):
        parse_relaxed_json(text)


def test_an_error_names_its_place() -> None:
    """Line and column of the character at fault."""
    with pytest.raises(json.JSONDecodeError) as refused:
        parse_relaxed_json("{a: 1,\n b: c}")
    assert (refused.value.lineno, refused.value.colno) == (2, 5)


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        "[" * 200_000,
        "{a:" * 80_000,
        "[" + "1," * MAX_VALUES + "]",
        "'" + "a" * MAX_CHARACTERS + "'",
    ],
    ids=["deep", "unclosed", "objects", "many", "long"],
)
def test_depth_length_and_number_of_values_are_bounded(text: str) -> None:
    """A hostile body costs little."""
    with pytest.raises(MalformedRequestError):
        parse_relaxed_json(text)


@pytest.mark.parametrize(
    "text", ["'" + "\\a" * 100_000, '"' + "a\\" * 100_001, "[" + " " * 200_000, "-" * 200_000]
)
def test_hostile_texts_are_scanned_once(text: str) -> None:
    """Strings and white space without an end."""
    with pytest.raises(json.JSONDecodeError):
        parse_relaxed_json(text)

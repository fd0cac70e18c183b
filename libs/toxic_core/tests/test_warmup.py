"""Warm-up examples."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toxic_core.contract import (
    WARMUP_FILE,
    WARMUP_TOLERANCE,
    Bundle,
    Contract,
    WarmupExample,
    write_warmup,
)
from toxic_core.errors import ContractError
from toxic_core.labels import LABELS

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["a\u2028b", "a\x85b", "a\nb", ""]
)


@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_warmup_examples_come_back_as_written(texts: list[str], unsealed: Path, contract: Contract) -> None:
    """A round trip keeps any text, including unusual line breaks."""
    examples = tuple(WarmupExample(text=text, scores=(0.25,) * len(LABELS)) for text in texts)
    write_warmup(unsealed, examples)
    assert Bundle(path=unsealed, contract=contract).warmup() == examples


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"{",
        b'{"text": "hello"}\n',
        b'{"text": "hello", "scores": [0.5]}\n',
        b'{"text": "hello", "scores": [0.5, 0.5, 0.5, 0.5, 0.5, 1.5]}\n',
        b'{"text": "\xff", "scores": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]}\n',
    ],
)
def test_warmup_without_usable_examples_is_refused(
    content: bytes, unsealed: Path, contract: Contract
) -> None:
    """The message names the file."""
    (unsealed / WARMUP_FILE).write_bytes(content)
    with pytest.raises(ContractError, match=WARMUP_FILE):
        Bundle(path=unsealed, contract=contract).warmup()


def test_the_warmup_tolerance_is_below_a_score_step() -> None:
    """The tolerance covers numeric noise, not another model."""
    assert 0 < WARMUP_TOLERANCE <= 0.001

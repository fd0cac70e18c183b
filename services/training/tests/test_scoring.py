import logging
from pathlib import Path
from typing import Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_core.errors import ContractError, RegistryUnavailableError, ToxicError, UnknownModelError
from toxic_model.registered import Registry
from toxic_training.evaluation.cost import median_comment
from toxic_training.kedro_project.datasets import ChampionDataset

pytestmark = pytest.mark.slow


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_the_median_comment_has_the_median_length(lengths: list[int]) -> None:
    """Of an even number, the shorter of the two in the middle."""
    median = median_comment(["x" * length for length in lengths])
    assert len(median) == sorted(lengths)[(len(lengths) - 1) // 2]


@pytest.mark.parametrize("error", [UnknownModelError, RegistryUnavailableError, ContractError])
def test_without_a_champion_there_is_nothing_to_compare_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: type[ToxicError]
) -> None:
    """Training goes on without the comparison, and the log has the reason."""

    def fail(*_: object) -> Never:
        raise error("for a reason")

    monkeypatch.setattr(Registry, "fetch", fail)
    with caplog.at_level(logging.INFO):
        assert ChampionDataset("toxic-comments", str(tmp_path)).load() is None
    assert "No champion to compare with: for a reason" in caplog.text

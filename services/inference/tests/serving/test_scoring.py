import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from toxic_core.contract import Calibration
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_inference.serving.harness import ActiveServable
from toxic_inference.serving.interfaces import Lane, Row, Target, Text
from toxic_inference.serving.scoring import ScoringService

pytestmark = pytest.mark.anyio


class OneVersion:
    """Leases one version; stands in for the manager."""

    def __init__(self, active: ActiveServable) -> None:
        self._active = active

    @contextmanager
    def lease(self, _target: Target) -> Iterator[ActiveServable]:
        """Lease it."""
        yield self._active


@pytest.fixture
async def service(
    active_servable: ActiveServable, inline: Any, clock: Any, observer: Any
) -> AsyncIterator[ScoringService]:
    """A service over one fake version."""
    active_servable.scheduler.start()
    yield ScoringService(manager=OneVersion(active_servable), executor=inline, clock=clock, observer=observer)
    await active_servable.scheduler.close()


async def test_scores_are_calibrated_and_decided_by_language(service: ScoringService, servable: Any) -> None:
    """A language with its own calibration and threshold gets them; another gets those for any."""
    raise_all = {ANY_LANGUAGE: Calibration(), "es": Calibration(slope=1.0, intercept=10.0)}
    servable.contract = servable.contract.model_copy(update={"calibration": dict.fromkeys(LABELS, raise_all)})
    with service.session(Target()) as session:
        plain, spanish = await session.score(
            [Text("you are kind"), Text("you are kind", "es")], lane=Lane.INTERACTIVE
        )
    ids = [2, 4, 5, 7, 3]
    assert plain.scores[0] == pytest.approx(sum(ids) / 1000, abs=1e-6)
    assert spanish.scores[0] > 0.99
    assert plain.decisions == (False,) * 6
    assert spanish.decisions == (True,) * 6


async def test_the_order_of_texts_is_kept(service: ScoringService) -> None:
    """Texts come back in the order they were given, whatever order they were batched in."""
    texts = ["you", "you are a lovely kind fool", "day", "idiot idiot idiot", "a"]
    with service.session(Target()) as session:
        together = await session.score([Text(text) for text in texts], lane=Lane.INTERACTIVE)
        alone = [(await session.score([Text(text)], lane=Lane.INTERACTIVE))[0] for text in texts]
    assert [t.tokens for t in together] == [3, 8, 3, 5, 3]
    for one, other in zip(together, alone, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


async def test_a_text_longer_than_the_model_reads_is_said_to_be_cut(
    service: ScoringService, observer: Any
) -> None:
    """Fourteen words fit between the special tokens; the fifteenth is cut and reported."""
    with service.session(Target()) as session:
        fits, cut = await session.score([Text("you " * 14), Text("you " * 15)], lane=Lane.INTERACTIVE)
    assert (fits.truncated, cut.truncated) == (False, True)
    assert (fits.tokens, cut.tokens) == (16, 16)
    assert observer.truncated == 1


async def test_raw_scores_aren_t_calibrated(service: ScoringService) -> None:
    """Token ids, and texts for the raw door, get what the model says."""
    with service.session(Target()) as session:
        by_ids = await session.infer([Row(np.array([2, 4, 3], np.int32))], lane=Lane.INTERACTIVE)
        by_text = await session.infer_texts(["you"], lane=Lane.INTERACTIVE)
    np.testing.assert_allclose(by_ids, np.full((1, 6), 0.009), atol=1e-7)
    np.testing.assert_array_equal(by_ids, by_text)


async def test_a_session_names_its_version(service: ScoringService) -> None:
    """The version that answers is known before the first score."""
    with service.session(Target()) as session:
        assert session.version == "1"
    await asyncio.sleep(0)

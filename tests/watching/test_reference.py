"""Drift ends with a version whose reference is weighted to the traffic, and lasts with any other.

The traffic is of another register and stays so: other languages, longer texts, and words that only the new
version knows. Training and the service meet here as in production: by counts of traffic, and by a contract.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from toxic_core.contract import Calibration, Contract
from toxic_core.contract.reference import Distribution, RecentTraffic, ReferenceTraffic
from toxic_core.labels import LABELS, Label
from toxic_core.languages import ANY_LANGUAGE
from toxic_inference.events import TextsScored
from toxic_inference.monitoring.history import Window
from toxic_inference.monitoring.monitor import Monitor
from toxic_testing.inference.bundles import make_contract
from toxic_testing.inference.fakes import ManualClock
from toxic_training.evaluation.metrics import share_weights
from toxic_training.evaluation.operating_point import OperatingPoint, score_columns
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reference import WEIGHT, describe_reference, describe_traffic, weights_like

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "infra/prometheus/rules/model.rules.yml").read_text("utf-8")
(ALARMING,) = set(re.findall(r'drift_psi:avg\{window="24h"\} > ([0-9.]+)', RULES))
PARAMETERS = EvaluationParameters.model_validate(
    yaml.safe_load((ROOT / "services/training/conf/base/parameters.yml").read_text("utf-8"))["evaluation"]
)
POINT = OperatingPoint(
    calibration={label: {ANY_LANGUAGE: Calibration()} for label in LABELS},
    thresholds={label: {ANY_LANGUAGE: 0.5} for label in LABELS},
)
Beta = tuple[float, float]
KNOWN: tuple[Beta, Beta] = (1.0, 20.0), (15.0, 2.0)
"""How scores of harmless and of toxic comments are distributed if a version knows which is which."""


class Stream:
    """Comments as two versions see them, without texts."""

    def __init__(self) -> None:
        self._dice = np.random.default_rng(7)

    def _comments(
        self, rows: int, *, toxic: float, languages: Sequence[str], tokens: int, champion: tuple[Beta, Beta]
    ) -> pd.DataFrame:
        """Return comments; `champion` is how the scores of harmless and of toxic ones are distributed.

        The new version knows which is which.
        """
        truth = self._dice.random(rows) < toxic
        (low, high), (harmless, insulting) = champion, KNOWN
        champions = np.where(truth, self._dice.beta(*high, rows), self._dice.beta(*low, rows))
        news = np.where(truth, self._dice.beta(*insulting, rows), self._dice.beta(*harmless, rows))
        table = pd.DataFrame(
            {
                "language": self._dice.choice(languages, rows),
                "tokens": self._dice.poisson(tokens, rows) + 3,
                "toxic": truth.astype(float),
                "champion": champions,
            }
        )
        return table.assign(**dict.fromkeys(score_columns(LABELS), news))

    def usual(self, rows: int) -> pd.DataFrame:
        """Return comments such as the versions were validated on."""
        languages = ["en"] * 8 + ["es", "it"]
        return self._comments(rows, toxic=0.1, languages=languages, tokens=12, champion=KNOWN)

    def register(self, rows: int) -> pd.DataFrame:
        """Return comments of the register, of which the champion knows nothing."""
        seen: tuple[Beta, Beta] = (8.0, 8.0), (8.0, 8.0)
        return self._comments(rows, toxic=0.5, languages=["tr", "tr", "es"], tokens=60, champion=seen)

    def traffic(self, rows: int) -> pd.DataFrame:
        """Return three texts of the register for every two usual ones."""
        return pd.concat([self.usual(rows * 2 // 5), self.register(rows * 3 // 5)], ignore_index=True)


def _sealed(rows: pd.DataFrame) -> Contract:
    """Return the contract of a version with these comments as its reference."""
    scores = describe_reference(rows.assign(source="train"), POINT, PARAMETERS)
    return make_contract().model_copy(
        update={
            "languages": ("en", "es", "it", "tr"),
            "reference_scores": {
                label: {ANY_LANGUAGE: Distribution.model_validate(scores[label][ANY_LANGUAGE])}
                for label in LABELS
            },
            "reference_traffic": ReferenceTraffic.model_validate(describe_traffic(rows, PARAMETERS)),
        }
    )


def _drifts(contract: Contract, texts: pd.DataFrame) -> tuple[dict[str, float], RecentTraffic | None]:
    """Return each drift alert's figure for a version that scored a day's texts, and what it counted."""
    clock = ManualClock()
    monitor = Monitor(clock, min_texts=500)
    monitor.available(version="1", contract=contract)
    scores = texts[score_columns(LABELS)].to_numpy(np.float32)
    languages, tokens = texts["language"].tolist(), texts["tokens"].tolist()
    monitor.scored(TextsScored("1", languages, scores, scores >= 0.5, tokens))
    figures = monitor.figures("1", Window.DAY)
    assert figures.languages is not None
    assert figures.lengths is not None
    drifts = {
        "languages": figures.languages.psi,
        "lengths": figures.lengths.psi,
        "scores": max(drift.psi for drift in figures.scores.values()),
    }
    return drifts, monitor.traffic("1")


def _as_champion(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the comments with the champion's scores."""
    return rows.assign(**dict.fromkeys(score_columns(LABELS), rows["champion"]))


@pytest.fixture(scope="module")
def stream() -> Stream:
    """Where all comments come from."""
    return Stream()


@pytest.fixture(scope="module")
def validation(stream: Stream) -> pd.DataFrame:
    """What the new version is validated on: usual comments, a few of them Turkish."""
    known = [stream.usual(3_000), stream.usual(60).assign(language="tr")]
    return pd.concat(known, ignore_index=True)


@pytest.fixture(scope="module")
def traffic(stream: Stream, validation: pd.DataFrame) -> RecentTraffic:
    """What the champion counted on the day before the training; it drifts by every measure."""
    drifts, counted = _drifts(_sealed(_as_champion(validation)), _as_champion(stream.traffic(20_000)))
    assert min(drifts.values()) > float(ALARMING)
    assert counted is not None
    return counted


def _weighted(traffic: RecentTraffic, rows: pd.DataFrame) -> pd.DataFrame:
    start = share_weights(rows, PARAMETERS.deployment_toxic_share)
    weights = weights_like(traffic, _as_champion(rows), start)
    return rows.assign(**{WEIGHT: weights})


def test_lasting_traffic_fires_no_alert_of_a_version_weighted_to_it(
    stream: Stream, validation: pd.DataFrame, traffic: RecentTraffic
) -> None:
    """With corrections of the register that were held out; without the weights, the alerts fire on."""
    rows = pd.concat([validation, stream.register(150)], ignore_index=True)
    after = stream.traffic(20_000)
    unweighted, _ = _drifts(_sealed(rows), after)
    assert min(unweighted.values()) > float(ALARMING)
    weighted, _ = _drifts(_sealed(_weighted(traffic, rows)), after)
    assert max(weighted.values()) < float(ALARMING), weighted


def test_traffic_of_which_no_comment_is_known_stays_a_drift(
    validation: pd.DataFrame, stream: Stream, traffic: RecentTraffic
) -> None:
    """A reference isn't made up: a handful of comments can't stand for most of the traffic."""
    rows = pd.concat([validation, stream.register(5)], ignore_index=True)
    drifts, _ = _drifts(_sealed(_weighted(traffic, rows)), stream.traffic(20_000))
    assert drifts["lengths"] > float(ALARMING)


def test_no_weight_is_above_a_hundredth(validation: pd.DataFrame, traffic: RecentTraffic) -> None:
    """Their mean is 1, so that counts are of comments."""
    weights = weights_like(traffic, _as_champion(validation), np.ones(len(validation)))
    assert weights.mean() == pytest.approx(1)
    assert weights.max() / weights.sum() == pytest.approx(0.01)


def test_what_a_hundredth_leaves_goes_to_other_comments(stream: Stream, traffic: RecentTraffic) -> None:
    """Whatever the number of comments, none counts as more than a hundredth, or its equal share."""
    for usual, register in ((200, 5), (90, 1)):
        rows = pd.concat([stream.usual(usual), stream.register(register)], ignore_index=True)
        weights = weights_like(traffic, _as_champion(rows), np.ones(len(rows)))
        assert weights.mean() == pytest.approx(1)
        assert weights.max() / weights.sum() <= max(0.01, 1 / len(rows)) + 1e-9


def test_traffic_like_the_comments_changes_little(stream: Stream, validation: pd.DataFrame) -> None:
    """Comments without a language have no bin, and those in languages that the model lacks share one."""
    _, alike = _drifts(_sealed(_as_champion(validation)), _as_champion(stream.usual(20_000)))
    assert alike is not None
    assert alike.label == Label.TOXIC
    rows = stream.usual(3_000)
    rows.loc[:999, "language"], rows.loc[1000:1099, "language"] = "und", "xx"
    weights = pd.Series(weights_like(alike, _as_champion(rows), np.ones(len(rows))))
    by_language = weights.groupby(rows["language"]).sum()
    assert by_language["und"] == pytest.approx(1_000, rel=0.05)
    assert by_language["en"] == pytest.approx(1_600, rel=0.05)
    assert by_language["xx"] < 10
    nothing = alike.model_copy(update={"languages": {"und": 500}})
    weights = pd.Series(weights_like(nothing, _as_champion(rows), np.ones(len(rows))))
    assert weights[rows["language"] == "xx"].sum() == pytest.approx(100, rel=0.2)

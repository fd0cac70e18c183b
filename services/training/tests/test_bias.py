import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from toxic_training.evaluation.bias import measure_bias
from toxic_training.evaluation.resampling import Resampling

QUICK = Resampling(samples=20, confidence=0.95, seed=1)
NONE = Resampling(samples=0, confidence=0.95, seed=1)

ROWS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([0.1, 0.2, 0.4, 0.5, 0.8]),
        st.sampled_from(["", "gay", "old", "gay|old", "middle eastern"]),
    ),
    min_size=6,
    max_size=60,
)


def _table(rows: list[tuple[float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["toxic", "score_toxic", "group"])


def _auc(rows: pd.DataFrame) -> float:
    return float(roc_auc_score(rows["toxic"], rows["score_toxic"]))


@given(ROWS)
def test_the_three_aucs_match_their_definitions(rows: list[tuple[float, float, str]]) -> None:
    """Each is scikit-learn's AUC on the rows in its definition."""
    table = _table(rows)
    inside = table["group"].str.split("|").map(lambda terms: "gay" in terms)
    toxic = table["toxic"] == 1
    for part in (inside, ~inside):
        assume(table["toxic"][part].nunique() == 2)
    figures = measure_bias(table, NONE)
    assert figures["bias.toxic.overall_auc"] == pytest.approx(_auc(table))
    assert figures["bias.toxic.gay.subgroup_auc"] == pytest.approx(_auc(table[inside]))
    expected = _auc(table[(inside & ~toxic) | (~inside & toxic)])
    assert figures["bias.toxic.gay.bpsn_auc"] == pytest.approx(expected)
    expected = _auc(table[(inside & toxic) | (~inside & ~toxic)])
    assert figures["bias.toxic.gay.bnsp_auc"] == pytest.approx(expected)


def test_the_combined_score_is_jigsaws() -> None:
    """It is a quarter each of the overall AUC and of three power means, as in the competition's code."""
    generator = np.random.default_rng(1)
    table = _table(
        [
            (float(toxic), float(np.clip(generator.normal(0.4 + 0.2 * toxic, 0.2), 0, 1)), term)
            for toxic in (0, 1)
            for term in ("", "gay", "old", "middle eastern")
            for _ in range(40)
        ]
    )
    figures = measure_bias(table, NONE)
    means = 0.0
    for figure in ("subgroup_auc", "bpsn_auc", "bnsp_auc"):
        values = np.array(
            [figures[f"bias.toxic.{group}.{figure}"] for group in ("gay", "old", "middle_eastern")]
        )
        means += np.power(np.mean(np.power(values, -5)), 1 / -5)
    assert figures["bias.toxic.combined"] == pytest.approx((figures["bias.toxic.overall_auc"] + means) / 4)


def test_scores_that_rise_with_a_term_lower_bpsn() -> None:
    """Harmless texts that mention the group rank above toxic ones that don't."""
    rows = [
        (t, 0.3 + 0.1 * t + (0.5 if term else 0.0), term) for t in (0.0, 1.0) for term in ("", "gay")
    ] * 10
    figures = measure_bias(_table(rows), QUICK)
    assert figures["bias.toxic.gay.bpsn_auc"] == 0
    assert figures["bias.toxic.gay.bnsp_auc"] == figures["bias.toxic.gay.subgroup_auc"] == 1
    assert figures["bias.toxic.combined"] < 0.8


def test_intervals_contain_the_values() -> None:
    """The combined score and every AUC have the ends of their intervals."""
    generator = np.random.default_rng(2)
    rows = [
        (t, float(generator.normal(t, 1)), term)
        for t in (0.0, 1.0)
        for term in ("", "gay")
        for _ in range(100)
    ]
    figures = measure_bias(_table(rows), QUICK)
    for name in ("bias.toxic.combined", "bias.toxic.gay.bnsp_auc"):
        assert figures[f"{name}_low"] < figures[name] < figures[f"{name}_high"]


def test_a_small_group_does_not_end_the_evaluation() -> None:
    """Resamples without any of its toxic texts are left out of the interval."""
    rows = [(t, 0.3 + 0.4 * t, "gay" if i == 0 else "") for t in (0.0, 1.0) for i in range(6)]
    figures = measure_bias(_table(rows), QUICK)
    assert figures["bias.toxic.gay.bpsn_auc_low"] == figures["bias.toxic.gay.bpsn_auc"] == 1
    assert figures["bias.toxic.combined"] == 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(1.0, 0.5, "gay"), (1.0, 0.6, "")],
        [(0.0, 0.5, ""), (1.0, 0.6, "")],
        [(0.0, 0.5, "gay"), (1.0, 0.6, "")],
    ],
)
def test_without_groups_of_both_classes_there_are_no_figures(rows: list[tuple[float, float, str]]) -> None:
    """Groups that the templates don't cover have no figures."""
    assert measure_bias(_table(rows), QUICK) == {}

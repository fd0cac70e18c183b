"""The registry's gate and training speak of the same figures, though neither imports the other."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toxic_core.contract import CONTRACT_FILE, Calibration, file_digest
from toxic_core.contract.evidence import EVALUATION_FILE, read_evaluation, write_evaluation
from toxic_core.labels import LABELS
from toxic_core.languages import LANGUAGES
from toxic_registry.gate.policy import PACKAGED, read_policy, shipped_digests
from toxic_training.data.suites import HATECHECK, REFERENCES, TEMPLATES
from toxic_training.evaluation.measuring import measure_sets
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.suites import measure_disguised, measure_suites

pytestmark = pytest.mark.slow

PARAMETERS = EvaluationParameters(
    batch_tokens=64, max_windows=1, window_overlap_tokens=0, bootstrap_samples=0, confidence=0.95,
    calibration_toxic_share=0.5, calibration_min_per_class=5, calibration_bins=5, deployment_toxic_share=0.1,
    threshold_precision=0.8, reference_bins=5, length_edges=(10,), min_rows_per_language=2,
    min_rows_per_origin=2, precision_comments=0, disguised_comments=0, seed=1,
)  # fmt: skip

FUNCTIONALITIES = (
    "counter_quote_nh", "counter_ref_nh", "derog_dehum_h", "derog_impl_h", "derog_neg_attrib_h",
    "derog_neg_emote_h", "ident_neutral_nh", "ident_pos_nh", "negate_neg_nh", "negate_pos_h",
    "phrase_opinion_h", "phrase_question_h", "profanity_h", "profanity_nh", "ref_subs_clause_h",
    "ref_subs_sent_h", "slur_h", "slur_homonym_nh", "slur_reclaimed_nh", "spell_char_del_h",
    "spell_char_swap_h", "spell_leet_h", "spell_space_add_h", "spell_space_del_h", "target_group_nh",
    "target_indiv_nh", "target_obj_nh", "threat_dir_h", "threat_norm_h",
)  # fmt: skip
"""HateCheck's, as its file names them."""

KINDS = ["threat", "insult", "identity", "idiom", "counter_speech"]
"""Kinds of everyday comments."""


def _scores(rows: int, *, source: str) -> pd.DataFrame:
    languages = [language.value for language in LANGUAGES]
    table = pd.DataFrame(
        {
            "language": (languages * rows)[:rows],
            "source": source,
            "origin": source,
            "tokens": np.arange(rows) % 20,
        }
    )
    for label in LABELS:
        table[label] = (np.arange(rows) // len(languages) % 2).astype(np.float32)
        table[f"score_{label}"] = np.linspace(0.1, 0.9, rows, dtype=np.float32)
    return table


@pytest.fixture(scope="module")
def measured() -> set[str]:
    """Return every figure that training measures if it has all files."""
    point = OperatingPoint(
        calibration={label: {"*": Calibration()} for label in LABELS},
        thresholds={label: {"*": 0.5} for label in LABELS},
    )
    world = _scores(160, source="world_test").assign(origin=["a"] * 40 + ["b"] * 40 + ["a"] * 40 + ["b"] * 40)
    tests = pd.concat([_scores(140, source="test"), world], ignore_index=True)
    comments = measure_sets(_scores(140, source="train"), tests, point=point, parameters=PARAMETERS)
    disguised = tests.assign(plain=range(len(tests)), group="leet")
    cases = _scores(len(FUNCTIONALITIES), source=HATECHECK).assign(
        language="en",
        group=FUNCTIONALITIES,
        identity_hate=[float(not n.endswith("_nh")) for n in FUNCTIONALITIES],
    )
    templates = _scores(8, source=TEMPLATES).assign(
        toxic=[0.0] * 4 + [1.0] * 4, group=["", "", "gay", "gay"] * 2
    )
    in_language = [
        _scores(40, source=f"templates_{code.lower().replace('-', '_')}").assign(language=code)
        for code in ("en", "de", "nl", "zh", "hi-Latn")
    ]
    everyday = _scores(2 * len(KINDS), source="everyday").assign(
        group=KINDS * 2, expected=["ok"] * len(KINDS) + ["toxic"] * len(KINDS)
    )
    rated = _scores(200, source="perspective").assign(language="en", TOXICITY=np.linspace(0, 1, 200))
    tables = pd.concat([cases, templates, *in_language, everyday, rated], ignore_index=True)
    empty = {"group": "", "expected": "", **dict.fromkeys(REFERENCES, np.nan)}
    suites = measure_suites(
        tables.reindex(columns=[*tables, *(empty.keys() - {*tables})]).fillna(empty), point, PARAMETERS
    )
    changed = measure_disguised(tests, disguised, point, PARAMETERS)
    return {*comments, *suites, *changed, "serving.latency_ms", "serving.size_mb"}


@pytest.mark.parametrize("name", PACKAGED)
def test_every_figure_of_a_packaged_gate_is_one_that_training_measures(name: str, measured: set[str]) -> None:
    """A misspelt figure would never be checked, without an error."""
    policy = read_policy(name)
    asked = {check.figure for check in policy.checks} | set(policy.not_worse_than_champion.same_test_set)
    asked |= {comparison.figure for comparison in policy.not_worse_than_champion.figures}
    assert asked - measured == set()


def test_the_gate_compares_every_harmless_functionality(measured: set[str]) -> None:
    """No kind of harmless sentence may be decided to be hate more often than by the champion."""
    compared = {comparison.figure for comparison in read_policy("default").not_worse_than_champion.figures}
    harmless = {
        name for name in measured if name.startswith("hatecheck.") and name.endswith("_nh.identity_accuracy")
    }
    assert len(harmless) == 11
    assert harmless <= compared


def test_the_gate_knows_the_shipped_model() -> None:
    """`make baseline-digests` writes the digests; an unpacked model has the same evaluation."""
    folder = Path(__file__).parents[1] / "models" / "baseline"
    names = (CONTRACT_FILE, EVALUATION_FILE)
    assert shipped_digests() == {name: file_digest(folder / name) for name in names}


def test_an_unpacked_model_has_the_shipped_evaluation(tmp_path: Path) -> None:
    """Bytes, since the gate compares digests."""
    folder = Path(__file__).parents[1] / "models" / "baseline"
    write_evaluation(tmp_path, read_evaluation(folder))
    assert file_digest(tmp_path / EVALUATION_FILE) == file_digest(folder / EVALUATION_FILE)

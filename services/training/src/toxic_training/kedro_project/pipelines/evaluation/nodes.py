"""From an exported model to its figures and operating point: plain functions."""

import logging

import keras
import numpy as np
import pandas as pd

from toxic_core.contract import Bundle
from toxic_core.contract.reference import LENGTH_EDGES, Distribution, ReferenceTraffic
from toxic_core.contract.scales import Pairs, TooLittleDataError, fit_scales
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT, OptionalTables
from toxic_training.data.suites import REFERENCES, leave_out_trained, tidy_suites
from toxic_training.evaluation.measuring import ALL, TEST, TOKENS, by_language
from toxic_training.evaluation.metrics import share_weights
from toxic_training.evaluation.operating_point import OperatingPoint, score_columns
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting.figures import run_headlines
from toxic_training.modelling.classifier import Encoder
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.scoring.exported import ExportedModel, ExportFacts, ExportParts
from toxic_training.scoring.texts import open_scorer

logger = logging.getLogger(__name__)


def prepare_export(classifier: keras.Model, encoder: Encoder, parameters: ModellingParameters) -> ExportParts:
    """Return the parts of the export that is measured and then served."""
    facts = ExportFacts(max_tokens=parameters.max_tokens, pad_id=encoder.pad_id, encoder=parameters.encoder)
    return ExportParts(classifier=classifier, encoder=encoder, facts=facts)


def read_suites(suites: OptionalTables, training: pd.DataFrame) -> pd.DataFrame:
    """Return the cases of every test suite that exists, without those that were trained on."""
    return leave_out_trained(tidy_suites(suites), training)


def score_comments(
    model: ExportedModel, comments: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Return `comments` without their texts, with raw scores `score_<label>` and `tokens`."""
    scored = open_scorer(model, parameters.reading)(comments[TEXT].tolist())
    table = comments.drop(columns=TEXT)
    table[score_columns(model.facts.labels)] = scored.scores
    table[TOKENS] = scored.tokens
    return table


def describe_reference(
    validation: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return each label's histogram of calibrated scores on validation comments by language, `*` over all.

    Rows are weighted to the share of toxic comments in deployment, so that served scores can be compared with
    them. A histogram has `edges` and `counts`, as in `contract.json`.
    """
    edges = np.linspace(0.0, 1.0, parameters.reference_bins + 1)
    found: dict[str, dict[str, dict[str, list[float]]]] = {label: {} for label in LABEL_COLUMNS}
    for language, rows in by_language(point.calibrated(validation), parameters).items():
        weights = share_weights(rows, parameters.deployment_toxic_share)
        for label in LABEL_COLUMNS:
            counts, _ = np.histogram(rows[f"score_{label}"], edges, weights=weights)
            found[label][ANY_LANGUAGE if language == ALL else language] = {
                "edges": edges.tolist(),
                "counts": [round(count) for count in counts.tolist()],
            }
    return found


def describe_traffic(validation: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, object]:
    """Return the languages and lengths of validation comments, weighted as the reference scores are.

    The result has the form of a `ReferenceTraffic` in `contract.json`.
    """
    weights = pd.Series(share_weights(validation, parameters.deployment_toxic_share), validation.index)
    tokens = validation[TOKENS].to_numpy(np.float64).clip(LENGTH_EDGES[0], LENGTH_EDGES[-1])
    lengths, _ = np.histogram(tokens, LENGTH_EDGES, weights=weights)
    languages = weights.groupby(validation[LANGUAGE]).sum()
    return ReferenceTraffic(
        languages={str(name): round(count) for name, count in languages.items()},
        lengths=Distribution(edges=LENGTH_EDGES, counts=tuple(round(count) for count in lengths.tolist())),
        calibration_toxic_share=parameters.calibration_toxic_share,
        deployment_toxic_share=parameters.deployment_toxic_share,
    ).model_dump(mode="json")


def fit_reference_scales(suites: pd.DataFrame, point: OperatingPoint) -> dict[str, object]:
    """Return the scales to the reference scores of the suites, as in `scales.json`; empty without enough."""
    rows = suites[suites[list(REFERENCES)].notna().any(axis=1)]
    cases = point.calibrated(rows)
    pairs = Pairs(
        languages=cases[LANGUAGE].tolist(),
        ours={name: cases[f"score_{label}"].to_numpy(np.float64) for name, label in REFERENCES.items()},
        theirs={name: cases[name].to_numpy(np.float64) for name in REFERENCES},
    )
    names = ", ".join(sorted(rows[SOURCE].unique()))
    try:
        scales = fit_scales(pairs, source=f"reference scores of {len(rows):,} comments ({names})")
    except TooLittleDataError as error:
        logger.info("The model gets no scales: %s", error)
        return {}
    return scales.model_dump(mode="json")


def score_with_champion(
    champion: Bundle | None, comments: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Return the champion's calibrated scores of Jigsaw's test comments; an empty table if there is none."""
    if champion is None:
        return pd.DataFrame()
    scores = score_comments(ExportedModel.of(champion), comments[comments[SOURCE] == TEST], parameters)
    return OperatingPoint.of(champion).calibrated(scores)


def collect_figures(*parts: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Return all figures together, for the report, and the headlines, for the run."""
    figures = {name: value for part in parts for name, value in part.items()}
    return figures, run_headlines(figures)

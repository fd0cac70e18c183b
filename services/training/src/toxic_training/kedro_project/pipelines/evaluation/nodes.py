"""From an exported model to its figures and operating point: plain functions."""

import logging

import keras
import numpy as np
import pandas as pd

from toxic_core.contract import Bundle
from toxic_core.contract.reference import RecentTraffic
from toxic_core.contract.scales import Pairs, TooLittleDataError, fit_scales
from toxic_training.data.comments import LANGUAGE, SOURCE, TEXT, OptionalTables
from toxic_training.data.corrections import FEEDBACK_TEST
from toxic_training.data.suites import REFERENCES, leave_out_trained, tidy_suites
from toxic_training.evaluation.measuring import TEST, TOKENS
from toxic_training.evaluation.metrics import share_weights
from toxic_training.evaluation.operating_point import OperatingPoint, score_columns
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reference import WEIGHT, weights_like
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


def join_reference(validation: pd.DataFrame, test: pd.DataFrame, traffic: pd.DataFrame) -> pd.DataFrame:
    """Return the comments that show what the traffic is like: for validation, and corrections held out."""
    return pd.concat([validation, test[test[SOURCE] == FEEDBACK_TEST], traffic], ignore_index=True)


def weigh_reference(
    rows: pd.DataFrame,
    texts: pd.DataFrame,
    *,
    champion: Bundle | None,
    traffic: RecentTraffic | None,
    parameters: EvaluationParameters,
) -> pd.DataFrame:
    """Return the rows with weights that make them like the champion's recent traffic, if that is known.

    Args:
        rows: scored comments, without their texts.
        texts: the same comments with their texts, in the same order.
        champion: the version that saw the traffic.
        traffic: what the service counted.
        parameters: of the evaluation.
    """
    if traffic is None or champion is None:
        return rows
    if traffic.made_at != champion.contract.created_at:
        logger.warning("The service's traffic isn't the champion's; the reference isn't weighted to it")
        return rows
    if traffic.watched_seconds < parameters.reference_hours * 3600:
        logger.info("The service has watched its traffic for too short a time to weight the reference to it")
        return rows
    seen = score_comments(ExportedModel.of(champion), texts, parameters)
    seen = OperatingPoint.of(champion).calibrated(seen)
    weights = weights_like(traffic, seen, share_weights(rows, parameters.deployment_toxic_share))
    logger.info(
        "The reference is weighted to recent traffic: its %d comments count as %d of equal weight",
        len(rows), int(weights.sum() ** 2 / (weights**2).sum()),
    )  # fmt: skip
    return rows.assign(**{WEIGHT: weights})


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

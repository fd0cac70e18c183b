"""From a trained classifier to the packed folder and back: plain functions."""

import json

import keras

from toxic_core.contract import Bundle
from toxic_core.contract.evidence import read_evaluation
from toxic_training.evaluation.reporting.card import model_card
from toxic_training.modelling.classifier import Encoder, encoder_of
from toxic_training.modelling.encoders.bert import bert_weights
from toxic_training.modelling.encoders.files import CONFIG_FILE, EncoderFiles
from toxic_training.release.baseline import Baseline, BaselineParts, unpack
from toxic_training.release.bundle import BundleParts
from toxic_training.scoring.exported import ExportedModel, ExportFacts, ExportParts

CARD_FILE = "README.md"
REPORT_FILE = "evaluation.html"


def gather_parts(classifier: keras.Model, encoder: Encoder, bundle: Bundle, report: str) -> BaselineParts:
    """Return what is packed: a classifier, its bundle with the figures, and card and report for people."""
    card = model_card(bundle.contract, read_evaluation(bundle.path))
    return BaselineParts(
        classifier=classifier,
        encoder=encoder,
        bundle=bundle,
        documents={CARD_FILE: card, REPORT_FILE: report},
    )


def fine_tuned_encoder(classifier: keras.Model, encoder: Encoder) -> EncoderFiles:
    """Return the encoder inside a trained classifier, as the start of another training."""
    return EncoderFiles(
        config=json.loads((encoder.folder / CONFIG_FILE).read_text(encoding="utf-8")),
        weights=bert_weights(encoder_of(classifier)),
        tokenizer=encoder.tokenizer,
    )


def encoder_files(baseline: Baseline) -> EncoderFiles:
    """Return the baseline's fine-tuned encoder."""
    return baseline.encoder


def prepare_export(baseline: Baseline, encoder: Encoder) -> ExportParts:
    """Return the parts of the unpacked classifier's export.

    Raises:
        ContractError: its scores differ from those recorded when it was packed.
    """
    contract = baseline.contract
    facts = ExportFacts(
        max_tokens=contract.max_tokens,
        pad_id=contract.pad_id,
        encoder=contract.base_model,
        labels=contract.labels,
    )
    return ExportParts(classifier=unpack(baseline, encoder), encoder=encoder, facts=facts)


def assemble_bundle(baseline: Baseline, model: ExportedModel) -> BundleParts:
    """Return the bundle's parts: the exported model, and the figures recorded when it was packed."""
    return BundleParts(model=model, contract=baseline.contract, figures=baseline.figures)

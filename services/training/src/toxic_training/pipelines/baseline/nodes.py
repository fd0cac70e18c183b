"""Between a trained classifier and the folder that ships: plain functions."""

import keras

from toxic_core.contract import Bundle
from toxic_training.baseline import Baseline, BaselineParts, unpack
from toxic_training.bundle import BundleParts
from toxic_training.classifier import Encoder
from toxic_training.encoders.files import EncoderFiles
from toxic_training.exported import ExportedModel, ExportFacts, ExportParts


def gather_parts(classifier: keras.Model, encoder: Encoder, bundle: Bundle) -> BaselineParts:
    """Return what is packed: a classifier and the bundle that says what it is worth."""
    return BaselineParts(classifier=classifier, encoder=encoder, bundle=bundle)


def encoder_files(baseline: Baseline) -> EncoderFiles:
    """Return the baseline's fine-tuned encoder."""
    return baseline.encoder


def prepare_export(baseline: Baseline, encoder: Encoder) -> ExportParts:
    """Return the unpacked classifier, to be exported.

    Raises:
        ContractError: it doesn't give the scores that it gave when it was packed.
    """
    contract = baseline.contract
    facts = ExportFacts(max_tokens=contract.max_tokens, pad_id=contract.pad_id, encoder=contract.encoder)
    return ExportParts(classifier=unpack(baseline, encoder), encoder=encoder, facts=facts)


def assemble_bundle(baseline: Baseline, model: ExportedModel) -> BundleParts:
    """Return the bundle's parts: what was measured when the baseline was made, with its model."""
    return BundleParts(model=model, contract=baseline.contract, figures=baseline.figures)

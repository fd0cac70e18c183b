"""The model card: a version's description in the registry, in Markdown (after Mitchell et al., 2019).

Invariant: it fits into the registry's column for descriptions, and states only facts of the bundle.
"""

from toxic_core.contract import Contract
from toxic_core.contract.scales import Scales
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.data.licences import SHARE_ALIKE, is_share_alike
from toxic_training.evaluation.reporting.figures import Figures, headlines
from toxic_training.evaluation.reporting.report import TEMPLATES, bias_table

MAX_CHARACTERS = 5000
"""Longest description in MLflow's tables."""

_WORST_GROUPS = 5
_HATECHECK = ("hatecheck.hateful.identity_accuracy", "hatecheck.non_hateful.identity_accuracy")
"""HateCheck's figures on the card, which is one page: single functionalities are in the report."""


def model_card(contract: Contract, figures: Figures, scales: Scales | None = None) -> str:
    """Return the description of the version with this contract, these figures and scales."""
    rendered = TEMPLATES.get_template("card.md.j2").render(
        contract=contract,
        headlines=[
            line
            for line in headlines(figures)
            if line.name in _HATECHECK or not line.name.startswith("hatecheck.")
        ],
        share_alike=sorted(filter(is_share_alike, contract.licences)),
        leave_out=SHARE_ALIKE,
        worst=[row[0] for row in bias_table(figures).rows[:_WORST_GROUPS]],
        any_language=ANY_LANGUAGE,
        scales=scales,
    )
    text = f"{rendered}\n"
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 2]}…\n"

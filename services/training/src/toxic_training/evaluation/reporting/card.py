"""The model card: a version's description in the registry, in Markdown (after Mitchell et al., 2019).

Invariant: it fits what the registry's database keeps of a description, and says nothing that the bundle
doesn't.
"""

from collections.abc import Iterator

from toxic_core.contract import Contract
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.evaluation.reporting.figures import Figures, headlines
from toxic_training.evaluation.reporting.report import bias_table

MOST_CHARACTERS = 5000
"""MLflow's tables hold no longer description."""

_WORST_GROUPS = 5

_USE = """\
## Use

Meant for ordering and queueing comments for people who moderate, in the languages above. Not meant to remove
comments or sanction authors without a person in between, to judge people, or for texts unlike comments.

## Limits

Trained on Wikipedia talk pages: other communities talk differently. Mentions of identity groups, irony,
quotation and reclaimed words raise errors; see bias and HateCheck. Scores are probabilities in a stream with
the share of toxic comments that the evaluation states, not in yours. Languages without test comments aren't
measured.
"""


def model_card(contract: Contract, figures: Figures) -> str:
    """Return the description of the version with this contract and these figures."""
    text = "\n".join([*_model(contract), *_data(contract), *_figures(figures), *_thresholds(contract), _USE])
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 2]}…\n"


def _model(contract: Contract) -> Iterator[str]:
    yield "# Toxic comments"
    yield ""
    yield (
        f"Encoder `{contract.base_model}`, six independent labels, windows of {contract.max_tokens} tokens. "
        f"Languages: {', '.join(contract.languages)}. Code `{contract.code_revision}`."
    )
    yield ""


def _data(contract: Contract) -> Iterator[str]:
    yield "## Trained on"
    yield ""
    for name, digest in sorted(contract.training_data.items()):
        yield f"- {name}, SHA-256 `{digest}`"
    yield ""


def _figures(figures: Figures) -> Iterator[str]:
    yield "## Figures"
    yield ""
    yield "| figure | value | 95% interval |"
    yield "|---|---|---|"
    for line in headlines(figures):
        # Single functionalities are in the report: a card is one page.
        if not line.name.startswith("hatecheck.") or line.name.split(".")[1] in {"hateful", "non_hateful"}:
            yield f"| {line.title} | {line.figure} | {line.figure.interval} |"
    yield ""
    worst = bias_table(figures).rows[:_WORST_GROUPS]
    if worst:
        yield f"Groups that fare worst: {', '.join(str(row[0]) for row in worst)}."
        yield ""


def _thresholds(contract: Contract) -> Iterator[str]:
    yield "## Operating thresholds"
    yield ""
    for label in LABELS:
        by_language = contract.thresholds[label]
        values = ", ".join(
            f"{'any' if code == ANY_LANGUAGE else code} {value:.3f}"
            for code, value in sorted(by_language.items())
        )
        yield f"- {label}: {values}"
    yield ""

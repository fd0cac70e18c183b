"""The model card: a version's description in the registry, in Markdown (after Mitchell et al., 2019).

Invariant: it fits into the registry's column for descriptions, and states only facts of the bundle.
"""

from toxic_core.contract import Contract
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.evaluation.reporting.figures import Figures, headlines
from toxic_training.evaluation.reporting.report import bias_table

MAX_CHARACTERS = 5000
"""Longest description in MLflow's tables."""

_WORST_GROUPS = 5

_USE = """\
## Use

For ordering and queueing comments for moderators, in the languages above. Not for removing comments or
sanctioning authors without a human decision, for judging people, or for texts that aren't comments.

## Limits

Trained on Wikipedia talk pages: other communities write differently. Mentions of identity groups, irony,
quotation and reclaimed words raise errors; see bias and HateCheck. Scores are probabilities in a stream with
the share of toxic comments that the evaluation states, not in yours. Languages without test comments aren't
measured.
"""


def model_card(contract: Contract, figures: Figures) -> str:
    """Return the description of the version with this contract and these figures."""
    model = (
        f"Encoder `{contract.base_model}`, {len(contract.labels)} independent labels, windows of "
        f"{contract.max_tokens} tokens. Languages: {', '.join(contract.languages)}. "
        f"Code `{contract.code_revision}`."
    )
    lines = [
        "# Toxic comments",
        "",
        model,
        "",
        "## Trained on",
        "",
        *(f"- {name}, SHA-256 `{digest}`" for name, digest in sorted(contract.training_data.items())),
        "",
        "## Figures",
        "",
        "| figure | value | 95% interval |",
        "|---|---|---|",
    ]
    lines += [
        f"| {line.title} | {line.figure} | {line.figure.interval} |"
        for line in headlines(figures)
        # Single functionalities are in the report: a card is one page.
        if not line.name.startswith("hatecheck.") or line.name.split(".")[1] in {"hateful", "non_hateful"}
    ]
    lines.append("")
    if worst := bias_table(figures).rows[:_WORST_GROUPS]:
        lines += [f"Groups with the lowest AUCs: {', '.join(str(row[0]) for row in worst)}.", ""]
    lines += ["## Operating thresholds", ""]
    for label in contract.labels:
        values = ", ".join(
            f"{'any' if code == ANY_LANGUAGE else code} {value:.3f}"
            for code, value in sorted(contract.thresholds[label].items())
        )
        lines.append(f"- {label}: {values}")
    text = "\n".join([*lines, "", _USE])
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 2]}…\n"

"""The precisions that a model may be computed in, and what allows a lower one.

Training's evaluation measures how far a lower precision moves each label's AUC; serving uses it only if that
figure is small.
"""

from enum import StrEnum
from math import inf

from toxic_core.contract import Bundle
from toxic_core.contract.evidence import read_evaluation
from toxic_core.errors import ContractError

AUC_TOLERANCE = 0.002
"""By how much a label's AUC may change in a lower precision that is served."""

ROUNDING_TOLERANCE = 0.1
"""The largest difference of a warm-up score in a lower precision, after float32 gave the recorded one."""


class Precision(StrEnum):
    """What a model is computed in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    """Products with weights in 8-bit integers, everything else in float32."""
    INT8_BFLOAT16 = "int8-bfloat16"
    """Weights in 8-bit integers, everything computed in bfloat16."""

    @property
    def auc_change(self) -> str:
        """Name of the evaluation figure: the largest change of any label's AUC from float32's."""
        return f"serving.{self}.auc_change"


def evaluated_precisions(bundle: Bundle) -> frozenset[Precision]:
    """Return the precisions that the bundle's evaluation found as good as float32; none without evidence."""
    try:
        figures = read_evaluation(bundle.path)
    except ContractError:  # a version needs no evidence to be served, only to be promoted
        return frozenset()
    changes = {precision: figures.get(precision.auc_change, inf) for precision in Precision}
    # Earlier versions were evaluated in each of the two only.
    both = changes[Precision.INT8] + changes[Precision.BFLOAT16]
    changes[Precision.INT8_BFLOAT16] = figures.get(Precision.INT8_BFLOAT16.auc_change, both)
    return frozenset(precision for precision, change in changes.items() if change <= AUC_TOLERANCE)

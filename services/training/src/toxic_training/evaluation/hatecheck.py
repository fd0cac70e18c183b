"""HateCheck: functional tests of hate speech detection (Röttger et al., ACL 2021).

A case passes if the decision on `toxic` at its operating threshold equals its gold label. `toxic` is the
decision that hides a comment or queues it for review, and the only label in every training table;
`identity_hate` is closer to HateCheck's definition of hate, but has too few examples for reliable decisions.

The definitions differ in places. Abuse of objects and of people outside protected groups (`target_obj_nh`,
`target_indiv_nh`, `target_group_nh`) and profanity (`profanity_nh`) aren't hate, but many of these cases are
toxic by the labels' own definition, so that a good model fails some. Therefore the gate has no floors here;
it compares each non-hateful functionality with the champion's.

The figures' names are `hatecheck.<functionality>.accuracy` and `.cases`, and the same for `hateful`,
`non_hateful` and `all`. Without cases there are none.
"""

import numpy as np
import pandas as pd

from toxic_core.labels import Label
from toxic_training.data.suites import FUNCTIONALITY, HATEFUL
from toxic_training.evaluation.metrics import Floats
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.resampling import Resampling, intervals


def measure_hatecheck(
    scored: pd.DataFrame, point: OperatingPoint, resampling: Resampling
) -> dict[str, float]:
    """Return the share of cases that pass, by name, with the ends of its interval."""
    if scored.empty:
        return {}
    hateful = scored[HATEFUL].to_numpy(np.float64)
    decided = point.decisions(point.calibrated(scored), Label.TOXIC)
    passed = (decided == (hateful == 1)).astype(np.float64)
    functionality = scored[FUNCTIONALITY].to_numpy(str)
    groups = {name: functionality == name for name in np.unique(functionality).tolist()}
    groups |= {"hateful": hateful == 1, "non_hateful": hateful == 0, "all": np.ones(len(scored), bool)}
    groups = {name: mask for name, mask in groups.items() if mask.any()}
    masks = np.array(list(groups.values()), dtype=np.float64)

    def statistic(counts: Floats) -> Floats:
        return np.asarray((masks @ (passed * counts)) / (masks @ counts), dtype=np.float64)

    figures: dict[str, float] = {}
    # Resampled within each functionality, because that is how the suite was written.
    measured = intervals(statistic, functionality, resampling)
    for (name, mask), interval in zip(groups.items(), measured, strict=True):
        figures |= interval.named(f"hatecheck.{name}.accuracy")
        figures[f"hatecheck.{name}.cases"] = float(mask.sum())
    return figures

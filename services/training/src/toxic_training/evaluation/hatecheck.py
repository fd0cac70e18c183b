"""HateCheck: functional tests of hate speech detection (Röttger et al., ACL 2021).

A case passes where the decision on `toxic` at its operating threshold is its gold label: hateful cases are to
be decided, non-hateful ones not. `toxic`, because that is the decision that hides a comment or queues it for
review, and the one label that every training table carries; `identity_hate` is closer to what HateCheck means
by hate, but has too few examples for a decision that could be relied on.

The two disagree in places. Abuse of things and of people outside protected groups (`target_obj_nh`,
`target_indiv_nh`, `target_group_nh`) and profanity (`profanity_nh`) are no hate, yet many of these cases are
toxic by the labels' own definition, so a good model fails some. That is why the gate sets no floors here, but
compares each non-hateful functionality with the champion's.

Owns the names of these figures: `hatecheck.<functionality>.accuracy` and `.cases`, and the same for
`hateful`, `non_hateful` and `all`.

Invariant: without cases there are no figures.
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
    masks = np.array([mask for mask in groups.values() if mask.any()], dtype=np.float64)

    def statistic(counts: Floats) -> Floats:
        return np.asarray((masks @ (passed * counts)) / (masks @ counts), dtype=np.float64)

    figures: dict[str, float] = {}
    names = [name for name, mask in groups.items() if mask.any()]
    # Resampled within each functionality, which is how the suite was written.
    for name, interval in zip(names, intervals(statistic, functionality, resampling), strict=True):
        figures |= interval.named(f"hatecheck.{name}.accuracy")
        figures[f"hatecheck.{name}.cases"] = float(groups[name].sum())
    return figures

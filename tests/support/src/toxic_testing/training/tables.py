"""Tables as the raw files hold them, for tests of what reads them."""

import pandas as pd

from toxic_training.data.comments import RawTable, Tidied
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.kedro_project.pipelines.data_processing.nodes import tidy_test, tidy_validation

ALL_OF_IT = DataParameters(train=SourceParameters(language="en"), validation=SourceParameters())
"""Every row is trained on."""


def with_table(name: str, source: SourceParameters | None = None) -> DataParameters:
    """Return parameters with one additional table."""
    return ALL_OF_IT.model_copy(update={"additional": {name: source or SourceParameters()}})


def tidied_validation(texts: list[str], toxic: str = "0", parameters: DataParameters = ALL_OF_IT) -> Tidied:
    """Return a validation file of `texts`, tidied."""
    ids = [str(i) for i in range(len(texts))]
    table = pd.DataFrame({"id": ids, "comment_text": texts, "lang": "es", "toxic": toxic})
    return tidy_validation(table, parameters)


def tidied_test(texts: list[str], parameters: DataParameters = ALL_OF_IT) -> Tidied:
    """Return a test file of toxic `texts`, tidied."""
    ids = [str(i) for i in range(len(texts))]
    table = pd.DataFrame({"id": ids, "content": texts, "lang": "tr"})
    return tidy_test(table, pd.DataFrame({"id": ids, "toxic": "1"}), parameters)


def raw_table(**columns: object) -> RawTable:
    """Return an additional table of these columns."""
    return RawTable(pd.DataFrame(columns), digest="0" * 64)

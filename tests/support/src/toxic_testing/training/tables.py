"""Tables as the raw files hold them, for tests of what reads them; and the nodes that do, on whole tables."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from toxic_training.data.chunks import Chunks
from toxic_training.data.comments import Counts, OptionalTables, RawTable, Tidied, TidiedTable
from toxic_training.data.parameters import DataParameters, SourceParameters
from toxic_training.data.tidying import join
from toxic_training.kedro_project.pipelines.data_processing import nodes

ALL_OF_IT = DataParameters(train=SourceParameters(language="en"), validation=SourceParameters())
"""Every row is trained on."""


def with_table(name: str, source: SourceParameters | None = None) -> DataParameters:
    """Return parameters with one additional table."""
    return ALL_OF_IT.model_copy(update={"additional": {name: source or SourceParameters()}})


def tidy_train(raw: pd.DataFrame | Chunks, parameters: DataParameters) -> Tidied:
    """Return the node's chunks as one table."""
    return join(list(nodes.tidy_train(raw, parameters)))


def tidy_validation(raw: pd.DataFrame | Chunks, parameters: DataParameters) -> Tidied:
    """Return the node's chunks as one table."""
    return join(list(nodes.tidy_validation(raw, parameters)))


def tidy_test(raw: pd.DataFrame, raw_labels: pd.DataFrame, parameters: DataParameters) -> Tidied:
    """Return the node's chunks as one table."""
    return join(list(nodes.tidy_test(raw, raw_labels, parameters)))


def tidy_additional(tables: OptionalTables, parameters: DataParameters) -> Tidied:
    """Return the node's chunks as one table."""
    return join(list(nodes.tidy_additional(tables, parameters)))


def one_chunk(tidied: Tidied) -> TidiedTable:
    """Return a tidied table as the next nodes take it."""
    return TidiedTable((tidied.comments,), (tidied.rejected,), tidied.counts, len(tidied.comments))


def collect_rejected(*tidied: Tidied) -> pd.DataFrame:
    """Return the node's chunks as one table."""
    return pd.concat(nodes.collect_rejected(*map(one_chunk, tidied)), ignore_index=True)


def split_comments(
    *, train: Tidied, validation: Tidied, test: Tidied, additional: Tidied, parameters: DataParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, Counts]:
    """Return the node's sets, each as one table."""
    with TemporaryDirectory() as folder:
        *sets, counts = nodes.split_comments(
            train=one_chunk(train),
            validation=one_chunk(validation),
            test=one_chunk(test),
            additional=one_chunk(additional),
            parameters=parameters,
            scratch=Path(folder) / "split",
        )
        training, measured, thresholds, tested, traffic = (
            pd.concat(chunks, ignore_index=True) for chunks in sets
        )
    return training, measured, thresholds, tested, traffic, counts


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

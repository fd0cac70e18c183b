"""Evaluations by the registry itself, on a table of comments that trainers don't have.

Figures are named `sealed.<label>.<language>.<figure>`, beside those of a bundle. A bundle's own figures with
such a name don't count.

Invariant: figures belong to one content of a version and one content of the table. With another table, no
version is evaluated yet.
"""

from collections.abc import Mapping
from pathlib import Path

from toxic_core.contract import file_digest
from toxic_core.contract.evidence import EVALUATION_FILE, read_evaluation, write_evaluation
from toxic_core.errors import ConfigurationError, ContractError

SEALED = "sealed."


class SealedEvaluations:
    """The registry's own evaluations, in files.

    Args:
        table: the table of comments.
        folder: for the figures, which only the registry's operators can write.
    """

    def __init__(self, table: Path, folder: Path) -> None:
        self.table = table
        self._folder = folder

    def figures(self, digest: str) -> Mapping[str, float]:
        """Return the figures of a version by its contract's digest; none if it wasn't evaluated.

        Raises:
            ConfigurationError: the table can't be read, or the figures are damaged.
        """
        folder = self._place(digest)
        try:
            return read_evaluation(folder) if (folder / EVALUATION_FILE).is_file() else {}
        except ContractError as error:
            raise ConfigurationError(
                f"the registry's own evaluation of the contract {digest} is damaged: run `toxic-registry "
                "evaluate` there again"
            ) from error

    def keep(self, digest: str, figures: Mapping[str, float]) -> None:
        """Write the figures of a version.

        Raises:
            ConfigurationError: the table can't be read, or the folder can't be written.
        """
        folder = self._place(digest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_evaluation(folder, figures)
        except OSError as error:
            raise ConfigurationError(
                f"The evaluation can't be written to {folder} ({error.strerror}); run this command where the "
                "registry runs, with its REGISTRY_STATE_DIR."
            ) from error

    def _place(self, digest: str) -> Path:
        try:
            return self._folder / file_digest(self.table) / digest
        except OSError as error:
            raise ConfigurationError(
                f"The sealed table {self.table} can't be read ({error.strerror}); see REGISTRY_TEST_TABLE."
            ) from error

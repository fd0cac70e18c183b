"""Locks on what a run writes, so that two runs never mix their files.

Invariant: a lock ends with its process, however that ends; nobody has to remove one by hand.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from toxic_core.errors import RunInProgressError

LOCKS_FOLDER = ".locks"


class OutputLocks:
    """The locks of one run, each on a file or folder beneath a data folder.

    Runs that write different files, such as the parts of a pipeline that a scheduler runs side by side, don't
    exclude each other, and neither do runs with data folders of their own.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    def acquire(self, outputs: Iterable[Path], *, data: Path) -> None:
        """Lock the outputs that lie beneath `data`, all or none; what was held before is released.

        Raises:
            RunInProgressError: another process holds one of them.
        """
        self.release()
        data = data.resolve()
        with ExitStack() as taken:
            for path in sorted({output.resolve() for output in outputs}):
                if not path.is_relative_to(data):
                    continue
                lock = data / LOCKS_FOLDER / f"{'.'.join(path.relative_to(data).parts)}.lock"
                lock.parent.mkdir(parents=True, exist_ok=True)
                try:
                    taken.enter_context(FileLock(lock, timeout=0, thread_local=False))
                except Timeout as error:
                    raise RunInProgressError(
                        f"Another run is writing {path}; wait for its end, or give this one a folder of its "
                        "own with TOXIC_DATA_DIR."
                    ) from error
            self._held = taken.pop_all()

    def release(self) -> None:
        """Give all of them back."""
        self._held.close()

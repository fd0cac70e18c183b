"""Locks on the files that a run writes, so that two runs never mix their files.

Invariant: a lock ends with its process, however that ends; none has to be removed by hand.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from toxic_core.errors import RunInProgressError

LOCKS_FOLDER = ".locks"


class OutputLocks:
    """The locks of one run, one per file or folder below a data folder.

    Runs that write different files don't exclude each other, such as the parts of a pipeline that a scheduler
    runs in parallel, and neither do runs with data folders of their own.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    def acquire(self, outputs: Iterable[Path], *, data: Path) -> None:
        """Lock the outputs below `data`, all or none, or raise RunInProgressError; release earlier locks."""
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
                        f"Another run is writing {path}. Wait until it ends, or set TOXIC_DATA_DIR to "
                        "another folder for this one."
                    ) from error
            self._held = taken.pop_all()

    def release(self) -> None:
        """Release all of them."""
        self._held.close()

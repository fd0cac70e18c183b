"""The threads of blocking work, and what they import before it is needed."""

import io
from concurrent.futures import ThreadPoolExecutor

from toxic_inference.adapters.priority import give_way
from toxic_inference.settings import Settings
from toxic_inference.tables.reader import CsvTable
from toxic_model.identification import identify_language
from toxic_model.runtime import streams_of

_BLOCKING_THREADS = 4


class Executors:
    """One executor per kind of blocking work, so that none waits behind another."""

    def __init__(self, settings: Settings) -> None:
        self.compute = ThreadPoolExecutor(
            streams_of(settings.threads), thread_name_prefix="compute", initializer=give_way
        )
        self.tokenise = ThreadPoolExecutor(settings.tokenise_threads, thread_name_prefix="tokenise")
        # A load starts the runtime's own threads, which inherit its priority.
        self.load = ThreadPoolExecutor(1, thread_name_prefix="load", initializer=give_way)
        self.free = ThreadPoolExecutor(1, thread_name_prefix="free")
        self.poll = ThreadPoolExecutor(1, thread_name_prefix="poll")
        self.read, self.files, self.jobs, self.feedback = (
            ThreadPoolExecutor(_BLOCKING_THREADS, thread_name_prefix=name)
            for name in ("read", "files", "jobs", "feedback")
        )

    def shutdown(self) -> None:
        """Drop what hasn't begun, and wait for none."""
        for executor in vars(self).values():
            executor.shutdown(wait=False, cancel_futures=True)


def warm_libraries() -> None:
    """Import and load what the first text without a language, and the first table, would wait for."""
    table = CsvTable(
        io.BytesIO(b"text\nOur neighbours planted a long row of apple trees.\n"), max_text_bytes=100
    )
    for row in table.rows():
        identify_language(str(row))

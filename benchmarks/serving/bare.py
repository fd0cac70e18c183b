"""The bare model, one text at a time: what the service's overhead is measured against.

`python -m benchmarks.serving.bare MODELS` loads version 1 of a folder. Each number on standard input is
answered by a line with the median seconds of a call, over so many of the same texts that the service gets.
"""

import statistics
import sys
import time
from pathlib import Path

from benchmarks.serving.stand import texts
from toxic_core.contract import open_bundle
from toxic_core.tokens import pad
from toxic_inference.settings import Settings
from toxic_model.opening import open_model


def main() -> None:
    """Answer until standard input ends."""
    model = open_model(open_bundle(Path(sys.argv[1]) / "1"), threads=Settings().threads)
    for line in sys.stdin:
        encoded = model.tokenizer.encode_windows(texts(int(line)), most=1)
        batches = [pad([text.windows[0]], pad_id=0) for text in encoded]
        seconds = []
        for batch in batches:
            started = time.perf_counter()
            model.whole(batch)
            seconds.append(time.perf_counter() - started)
        print(statistics.median(seconds), flush=True)


if __name__ == "__main__":
    main()

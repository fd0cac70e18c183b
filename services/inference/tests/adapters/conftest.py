"""Bundles that no TensorFlow has to make."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from toxic_core.contract import Calibration, Contract, WarmupExample, seal, write_warmup
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE

PlainBundle = Callable[..., Path]


@pytest.fixture
def plain_bundle() -> PlainBundle:
    """Return a function that seals a bundle whose SavedModel is any bytes."""

    def build(path: Path, payload: bytes = b"model") -> Path:
        for name, content in (("saved_model/saved_model.pb", payload), ("tokenizer/tokenizer.json", b"{}")):
            (path / name).parent.mkdir(parents=True)
            (path / name).write_bytes(content)
        write_warmup(path, [WarmupExample(text="a", scores=(0.5,) * 6)])
        seal(
            path,
            Contract(
                max_tokens=16,
                pad_id=0,
                languages=("en",),
                calibration={label: {ANY_LANGUAGE: Calibration()} for label in LABELS},
                thresholds={label: {ANY_LANGUAGE: 0.5} for label in LABELS},
                encoder="tiny",
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
            ),
        )
        return path

    return build

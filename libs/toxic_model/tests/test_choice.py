"""The choice of a precision by the stopwatch."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from toxic_core.contract import open_bundle
from toxic_model import choice, opening
from toxic_model.choice import Choices
from toxic_model.errors import WarmupError
from toxic_model.loaded import LoadedModel
from toxic_model.opening import open_model
from toxic_model.precision import ROUNDING_TOLERANCE, Precision
from toxic_model.runtime import Executable
from toxic_model.runtimes import OPENVINO, TENSORFLOW
from toxic_model.warmup import WarmUp
from toxic_testing.inference.bundles import BundleFactory

pytestmark = pytest.mark.slow

INT8, BFLOAT16, BOTH = (
    precision.auc_change for precision in (Precision.INT8, Precision.BFLOAT16, Precision.INT8_BFLOAT16)
)
GOOD = {INT8: 0.0003, BFLOAT16: 0.0001}

Measured = dict[str, float]


@pytest.fixture(autouse=True)
def capable_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with instructions for every precision."""
    capable = replace(OPENVINO, lower_precisions=lambda: tuple(Precision)[1:])
    monkeypatch.setattr(opening, "RUNTIMES", (capable, TENSORFLOW))


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Rates by precision that the stopwatch shows; what it timed is removed from them."""
    rates = {"float32": 1.0, "bfloat16": 3.0, "int8": 2.0, "int8-bfloat16": 2.5}
    monkeypatch.setattr(
        WarmUp,
        "rate",
        lambda _self, timed, *, seconds: rates.pop(timed.name.partition("-")[2]) * (seconds > 0),
    )
    return rates


@pytest.fixture
def load(build_bundle: BundleFactory, tmp_path: Path) -> Callable[..., LoadedModel]:
    """Return what opens one bundle with these figures of its evaluation."""

    def opened(
        figures: Mapping[str, float] = GOOD,
        precision: Literal["auto", "float32"] = "auto",
        choices: Choices | None = None,
    ) -> LoadedModel:
        folder = tmp_path / "-".join(str(figure) for figure in (*figures.values(), "bundle"))
        if not folder.exists():
            build_bundle(folder, figures=dict(figures) or None)
        return open_model(
            open_bundle(folder), threads=2, runtime="openvino", precision=precision, choices=choices
        )

    return opened


@pytest.mark.parametrize(
    ("figures", "wanted", "runtime"),
    [
        (GOOD, "auto", "openvino-bfloat16"),
        (GOOD, "float32", "openvino-float32"),
        ({INT8: 0.0003, BFLOAT16: 0.0021}, "auto", "openvino-int8"),
        ({INT8: 0.0021, BFLOAT16: 0.0021}, "auto", "openvino-float32"),
        ({INT8: 0.0021, BFLOAT16: 0.0021, BOTH: 0.0019}, "auto", "openvino-int8-bfloat16"),
        ({"test.toxic.en.auc": 0.97}, "auto", "openvino-float32"),
        ({}, "auto", "openvino-float32"),
    ],
)
@pytest.mark.usefixtures("stopwatch")
def test_the_fastest_precision_with_evidence_serves(
    load: Callable[..., LoadedModel], figures: Mapping[str, float], wanted: str, runtime: str
) -> None:
    """Without a small enough figure, or if it isn't wanted, a precision is never used."""
    assert load(figures, wanted).runtime == runtime


def test_every_allowed_combination_is_timed(load: Callable[..., LoadedModel], stopwatch: Measured) -> None:
    """Int8 with bfloat16 is allowed by its own figure, or if it has none, by the sum of both changes."""
    expected = dict(stopwatch)
    assert load().rates == expected
    for figures in ({INT8: 0.0019, BFLOAT16: 0.0002}, GOOD | {BOTH: 0.0021}):
        stopwatch |= expected
        assert load(figures).rates.keys() == {"float32", "int8", "bfloat16"}


def test_a_precision_that_gives_other_scores_is_not_used(
    load: Callable[..., LoadedModel], stopwatch: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast it is."""
    check = WarmUp.check

    def declining(self: WarmUp, executable: Executable, **options: Any) -> None:
        if executable.name == "openvino-bfloat16":
            assert options == {"tolerance": ROUNDING_TOLERANCE}
            raise WarmupError("It differs.")
        check(self, executable, **options)

    monkeypatch.setattr(WarmUp, "check", declining)
    model = load()
    assert model.runtime == "openvino-int8-bfloat16"
    assert model.rates["bfloat16"] == 0.0
    assert stopwatch == {"bfloat16": 3.0}


def test_a_choice_is_remembered_for_version_library_and_processor(
    load: Callable[..., LoadedModel],
    stopwatch: Measured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next load skips the measurement; another processor measures again."""
    rates, choices = dict(stopwatch), Choices(tmp_path / "cache" / "precisions.json")
    first = load(choices=choices)
    assert not stopwatch
    again = load(choices=choices)
    assert (again.runtime, again.rates) == (first.runtime, first.rates) == ("openvino-bfloat16", rates)
    monkeypatch.setattr(choice, "processor", lambda: "another")
    stopwatch |= rates | {"int8": 9.0}
    assert load(choices=choices).runtime == "openvino-int8"


@pytest.mark.parametrize("content", ["{", "[]", '{"key": {"unknown": 1}}', '{"key": 3}'])
@pytest.mark.usefixtures("stopwatch")
def test_a_damaged_memory_is_measured_again(
    load: Callable[..., LoadedModel], tmp_path: Path, content: str
) -> None:
    """It is a cache, so a model loads without it."""
    file = tmp_path / "precisions.json"
    file.write_text(content, encoding="utf-8")
    assert load(choices=Choices(file)).runtime == "openvino-bfloat16"
    assert Choices(file / "below a file").find("key") == {}


def test_the_stopwatch_compares_real_executables(load: Callable[..., LoadedModel]) -> None:
    """A choice has a positive rate for every precision that was timed."""
    rates = load({INT8: 0.0003}).rates
    assert rates.keys() == {"float32", "int8"}
    assert min(rates.values()) > 0

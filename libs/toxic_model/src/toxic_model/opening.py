"""From a verified bundle to a model in memory: which runtime and which precision compute it.

Invariant: an opened model gave the recorded scores in float32 for every warm-up example that was replayed,
even if it is then computed in a lower precision. A quick start replays the shorter half, not on the streams.
"""

import logging
from collections.abc import Callable
from typing import Literal

from toxic_core.contract import Bundle
from toxic_core.contract.scales import bundled_scales
from toxic_core.errors import ConfigurationError, ToxicError
from toxic_model.choice import Choices, Chooser, Rates
from toxic_model.errors import SignatureError, WarmupError
from toxic_model.loaded import LoadedModel
from toxic_model.machine import gpu_present
from toxic_model.packed import is_packed
from toxic_model.runtime import Executable, Runtime
from toxic_model.runtimes import RUNTIMES
from toxic_model.warmup import WarmUp

AUTO: Literal["auto"] = "auto"

Start = Literal["complete", "quick"]

# Not structlog: its import would take half of the time to the first score in a program.
_log = logging.getLogger(__name__)


def open_model(
    bundle: Bundle,
    *,
    threads: int,
    overlap: int = 0,
    runtime: str = AUTO,
    precision: Literal["auto", "float32"] = AUTO,
    start: Start = "complete",
    choices: Choices | None = None,
    imported: Callable[[Runtime], None] = lambda _: None,
) -> LoadedModel:
    """Open a bundle's model and replay its warm-up. Blocks for seconds.

    Args:
        bundle: verified by `toxic_core.contract.open_bundle`; its files may be removed afterwards.
        threads: the most threads that compute a batch; 0 for as many as the process may use.
        overlap: tokens that neighbouring windows of a long text share.
        runtime: a runtime's name, or `auto` for the fastest one that gives the recorded scores.
        precision: `auto` for the fastest one that this machine has instructions for and that the bundle's
            evaluation found as good as float32.
        start: `complete` is ready for every batch; `quick` replays the shorter half of the warm-up, and lets
            the first use of a stream compile it.
        choices: remembers how fast each precision is here; by default it is measured at each load.
        imported: called with each runtime after its library was imported and before it reads the model.

    Raises:
        ConfigurationError: the runtime is unknown or isn't installed.
        ContractError: the tokenizer or the warm-up examples can't be read.
        InvalidDataError: the scales are invalid.
        SignatureError: the SavedModel can't be read, or its signature isn't the contract's.
        WarmupError: the model doesn't give the recorded scores.
    """
    contract = bundle.contract
    tokenizer = bundle.tokeniser(overlap=overlap)
    warm_up = WarmUp.of(bundle, tokenizer)
    if start == "quick":
        warm_up = warm_up.shorter()
    scales = bundled_scales(bundle.path)
    packed = is_packed(bundle.path)
    *preferred, last = choose_runtimes(runtime, packed=packed)

    def compiled(chosen: Runtime) -> tuple[Executable, Rates]:
        chosen.prepare()
        imported(chosen)
        chooser = Chooser(bundle, chosen, warm_up, threads, choices or Choices())
        return chooser.choose(lower=precision == AUTO), chooser.rates

    found = None
    for candidate in preferred:
        try:
            found = compiled(candidate)
            break
        except ToxicError as error:
            _log.warning("runtime.declined: %s: %s", candidate.name, error)
    try:
        executable, rates = found or compiled(last)
    except (SignatureError, WarmupError) as error:
        absent = [each for each in RUNTIMES if not each.installed() and (each.reads_packed or not packed)]
        if runtime != AUTO or not absent:
            raise
        others = " or ".join(each.package for each in absent)
        raise type(error)(f"{error} Another runtime may compute it: install {others}.") from error
    return LoadedModel(
        contract=contract,
        tokenizer=tokenizer,
        runtime=executable.name,
        whole=executable.whole,
        streams=executable.streams,
        close=executable.close,
        scales=scales,
        rates=rates,
    )


def choose_runtimes(name: str = AUTO, *, packed: bool = False) -> tuple[Runtime, ...]:
    """Return the runtimes to try for a model, fastest first: at least one.

    Args:
        name: a runtime's name; or `auto` for every installed one, and on a machine with a GPU only for those
            that use it.
        packed: whether the model is packed, which not every runtime reads.

    Raises:
        ConfigurationError: the runtime is unknown or isn't installed, or none is.
    """
    known_runtimes = [runtime for runtime in RUNTIMES if runtime.reads_packed or not packed]
    if name != AUTO:
        for runtime in RUNTIMES:
            if runtime.name == name and runtime not in known_runtimes:
                raise ConfigurationError(
                    f"The runtime {name} doesn't read packed models. Use "
                    f"{' or '.join(each.name for each in known_runtimes)}, or let the machine decide: {AUTO}."
                )
            if runtime.name == name and runtime.installed():
                return (runtime,)
            if runtime.name == name:
                raise ConfigurationError(
                    f"The runtime {name} isn't installed. Install it (pip install {runtime.package}), or let "
                    f"the machine decide: {AUTO}."
                )
        known = ", ".join([AUTO, *(runtime.name for runtime in RUNTIMES)])
        raise ConfigurationError(f"There is no runtime {name}; choose one of {known}.")
    installed = tuple(runtime for runtime in known_runtimes if runtime.installed())
    if gpu_present():
        installed = tuple(runtime for runtime in installed if runtime.uses_gpus) or installed
    if not installed:
        packages = " or ".join(runtime.package for runtime in known_runtimes)
        raise ConfigurationError(f"No runtime is installed that computes this model: install {packages}.")
    return installed

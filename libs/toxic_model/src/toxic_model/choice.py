"""The choice of a precision: by the stopwatch, and remembered.

Invariant: a precision is chosen only among those that the bundle's evaluation allows, and only if it
reproduces the warm-up scores; the fastest one on this machine is chosen.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from toxic_core.contract import CONTRACT_FILE, Bundle, file_digest
from toxic_core.files import replacing
from toxic_model.errors import WarmupError
from toxic_model.machine import processor
from toxic_model.precision import ROUNDING_TOLERANCE, Precision, evaluated_precisions
from toxic_model.runtime import Compile, Executable, Runtime
from toxic_model.warmup import WarmUp

_STOPWATCH_SECONDS = 2.0
"""Most time for timing all precisions of a version; each is computed twice at least."""
_KEPT = 100

Rates = Mapping[str, float]
"""Tokens per second by precision; empty if there was no choice."""

# Not structlog, for the same reason as in `opening`.
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choices:
    """Measured rates by version, processor and library, kept in a JSON file.

    Attributes:
        path: the file; None to forget them.
    """

    path: Path | None = None

    def find(self, key: str) -> Rates:
        """Return the rates that were measured, if any."""
        return self._read().get(key, {})

    def keep(self, key: str, rates: Rates) -> None:
        """Store rates. A failed write is logged only: the next load measures again."""
        if self.path is None:
            return
        entries = {**{known: old for known, old in self._read().items() if known != key}, key: dict(rates)}
        try:
            with replacing(self.path) as partial:
                partial.write_text(json.dumps(dict(list(entries.items())[-_KEPT:])), encoding="utf-8")
        except OSError as error:
            _log.warning("precision.not_remembered: %s: %s", self.path, error)

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8")) if self.path else {}
            return {
                str(key): {str(Precision(name)): float(rate) for name, rate in rates.items()}
                for key, rates in found.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("precision.unreadable: %s: %s", self.path, error)
            return {}


@dataclass(slots=True)
class Chooser:
    """Compiles one model in one precision after the other, and keeps the fastest.

    Attributes:
        bundle: the version.
        runtime: what computes it.
        warm_up: its examples.
        threads: the most threads that compute a batch; 0 for as many as the process may use.
        choices: rates that were measured before.
        rates: those of this version, once it is chosen.
    """

    bundle: Bundle
    runtime: Runtime
    warm_up: WarmUp
    threads: int
    choices: Choices = field(default_factory=Choices)
    rates: Rates = field(default_factory=dict)

    def choose(self, *, lower: bool) -> Executable:
        """Return the fastest executable; if not `lower`, or if no other precision is allowed, in float32.

        Raises:
            SignatureError: the runtime can't read the model.
            WarmupError: the model doesn't give the recorded scores in float32.
        """
        compile_for = self.runtime.read(self.bundle.path, len(self.bundle.contract.labels))
        exact = compile_for(Precision.FLOAT32, self.threads)
        self.warm_up.check(exact)
        allowed = evaluated_precisions(self.bundle) if lower else frozenset()
        tried = [each for each in self.runtime.lower_precisions() if each in allowed] if allowed else []
        if not tried:
            return exact
        library = f"{self.runtime.package} {metadata.version(self.runtime.package)}"
        version = file_digest(self.bundle.path / CONTRACT_FILE)
        key = "; ".join((version, library, processor(), str(self.threads)))
        self.rates = self.choices.find(key)
        best = exact
        if measured := self.rates.keys() >= {*tried, Precision.FLOAT32}:
            faster = [each for each in tried if self.rates[each] > self.rates[Precision.FLOAT32]]
            for precision in sorted(faster, key=lambda each: -self.rates[each]):
                if (rounded := self._checked(compile_for, precision)) is not None:
                    exact.close()
                    best = rounded
                    break
        else:
            best = self._fastest(exact, compile_for, tried)
            self.choices.keep(key, self.rates)
        how = "remembered" if measured else "measured"
        _log.info("precision.chosen: %s; tokens per second as %s: %s", best.name, how, dict(self.rates))
        return best

    def _fastest(self, exact: Executable, compile_for: Compile, tried: Sequence[Precision]) -> Executable:
        share = _STOPWATCH_SECONDS / (len(tried) + 1)
        best, rates = exact, {str(Precision.FLOAT32): self.warm_up.rate(exact, seconds=share)}
        for precision in tried:
            rounded, rates[str(precision)] = self._checked(compile_for, precision), 0.0
            if rounded is None:
                continue
            rate = self.warm_up.rate(rounded, seconds=share)
            best, slower = (rounded, best) if rate > max(rates.values()) else (best, rounded)
            rates[str(precision)] = rate
            slower.close()
        self.rates = rates
        return best

    def _checked(self, compile_for: Compile, precision: Precision) -> Executable | None:
        """Return the model in a lower precision; None if it doesn't reproduce the warm-up scores."""
        rounded = compile_for(precision, self.threads)
        try:
            self.warm_up.check(rounded, tolerance=ROUNDING_TOLERANCE)
        except WarmupError as error:
            _log.warning("precision.declined: %s: %s", precision, error)
            rounded.close()
            return None
        return rounded

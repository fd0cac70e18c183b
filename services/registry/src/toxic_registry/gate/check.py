"""The one check that stands before every champion.

Owns the judgement: given a version's files and the champion's, which reasons speak against the promotion.

Invariant: a judgement reads the files themselves, never the version's tags, which anyone can set. It is made
anew at each promotion: a file that was damaged after an earlier one is found.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toxic_core.contract import CONTRACT_FILE, file_digest, open_bundle
from toxic_core.contract.evidence import EVALUATION_FILE, read_evaluation
from toxic_core.errors import ContractError
from toxic_registry.gate.policy import Check, Comparison, Comparisons, GatePolicy

Figures = Mapping[str, float]


class BundleStore(Protocol):
    """Where versions' files lie."""

    def bundle(self, uri: str) -> AbstractContextManager[Path]:
        """Give a local copy of the whole bundle of the version at `uri`, for as long as the context is open.

        Raises:
            ContractError: there is none, or it is too large.
        """
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a version's verified files say.

    Attributes:
        digest: SHA-256 of its `contract.json`, which holds the digest of every other file.
        figures: its evaluation.
    """

    digest: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found.

    Attributes:
        reasons: against the promotion; none lets it through.
        digest: of the evidence judged; empty where it couldn't be read.
    """

    reasons: tuple[str, ...]
    digest: str


class Gate:
    """Judges versions by a policy. Blocking, at the cost of one download of the version; thread-safe."""

    def __init__(self, policy: GatePolicy, bundles: BundleStore) -> None:
        self._policy = policy
        self._bundles = bundles

    def judge(self, uri: str, *, champion_uri: str | None) -> Verdict:
        """Judge the version at `uri` as the successor of the one at `champion_uri`, where there is one."""
        try:
            evidence = self._evidence(uri)
        except ContractError as error:
            return Verdict(reasons=(str(error),), digest="")
        champion = self._figures_of(champion_uri) if champion_uri else None
        return Verdict(
            reasons=tuple(reasons_against(evidence.figures, champion, self._policy)), digest=evidence.digest
        )

    def judge_return(self, uri: str) -> Verdict:
        """Judge the return of the champion before this one: it passed once, so only its files are checked.

        A way back that a stricter policy or the bad champion's own figures could block would be none.
        """
        try:
            return Verdict(reasons=(), digest=self._evidence(uri).digest)
        except ContractError as error:
            return Verdict(reasons=(str(error),), digest="")

    def _evidence(self, uri: str) -> Evidence:
        with self._bundles.bundle(uri) as folder:
            try:
                return _read(folder)
            except ContractError as error:
                # The reader knows the bundle, not the folder that it was fetched to.
                raise ContractError(
                    str(error).replace(f"{folder}/", "").replace(str(folder), "it")
                ) from error

    def _figures_of(self, uri: str) -> Figures | None:
        # A champion from before the gate may hold no evidence; there is nothing to compare with then.
        try:
            return self._evidence(uri).figures
        except ContractError:
            return None


def _read(folder: Path) -> Evidence:
    bundle = open_bundle(folder)
    if EVALUATION_FILE not in bundle.contract.files:
        raise ContractError(f"{EVALUATION_FILE} is missing: the version comes without evaluation evidence.")
    bundle.warmup()
    return Evidence(digest=file_digest(folder / CONTRACT_FILE), figures=read_evaluation(folder))


def reasons_against(figures: Figures, champion: Figures | None, policy: GatePolicy) -> Iterator[str]:
    """Yield why a version with `figures` may not follow a champion with figures `champion`."""
    for check in policy.checks:
        yield from _check(check, figures.get(check.figure))
    if champion is not None:
        yield from _compare(figures, champion, policy.not_worse_than_champion)


def _check(check: Check, value: float | None) -> Iterator[str]:
    if value is None:
        if check.required:
            yield f"{check.figure} is missing from its evaluation"
        return
    if check.at_least is not None and value < check.at_least:
        yield f"{check.figure} is {value:.4f}, below its floor of {check.at_least:g}"
    if check.at_most is not None and value > check.at_most:
        yield f"{check.figure} is {value:.4f}, above its ceiling of {check.at_most:g}"


def _compare(figures: Figures, champion: Figures, comparisons: Comparisons) -> Iterator[str]:
    differing = [n for n in comparisons.same_test_set if figures.get(n) != champion.get(n)]
    if differing:
        if comparisons.on_another_test_set == "refuse":
            yield f"it was measured on another test set than the champion ({', '.join(differing)} differ)"
        return
    for comparison in comparisons.figures:
        if comparison.figure in figures and comparison.figure in champion:
            yield from _loss(comparison, figures[comparison.figure], champion[comparison.figure])


def _loss(comparison: Comparison, value: float, champion: float) -> Iterator[str]:
    loss = champion - value if comparison.better == "higher" else value - champion
    # Figures are sums of floats: a loss of exactly the margin must not depend on the last bit.
    if loss > comparison.margin + 1e-12:
        yield (
            f"{comparison.figure} is {value:.4f} against the champion's {champion:.4f}, "
            f"worse by more than the margin of {comparison.margin:g}"
        )

"""The promotion gate: the reasons against a version becoming champion, by its evaluation and a policy.

Invariant: the gate reads a version's files, never its tags, which anyone can set. It reads them again at each
promotion, so that it finds a file that was damaged since the last one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from toxic_core.contract import CONTRACT_FILE, file_digest, open_bundle
from toxic_core.contract.evidence import EVALUATION_FILE, read_evaluation
from toxic_core.contract.provenance import signer_of
from toxic_core.errors import ConfigurationError, ContractError, InvalidSignatureError
from toxic_registry.gate.policy import GatePolicy, shipped_digests
from toxic_registry.gate.sealed import SEALED, SealedEvaluations

Figures = Mapping[str, float]

_NAMED = 3
"""Most missing figures that a reason names."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision on one version.

    Attributes:
        reasons: against the promotion; none allows it.
        digest: SHA-256 of the version's `contract.json`; empty if the gate couldn't verify the bundle, which
            no override allows.
        figures: the version's evaluation.
        unsigned: why no trusted signature vouches for the bundle; empty if one does.
        evaluation: SHA-256 of the evaluation's file.
    """

    reasons: tuple[str, ...] = ()
    digest: str = ""
    figures: Figures = field(default_factory=dict)
    unsigned: str = ""
    evaluation: str = ""


class Gate:
    """Judges versions by a policy. Blocks for one download per version; thread-safe.

    Args:
        policy: floors, ceilings and margins.
        download: yields a folder with the bundle of the version at an address, or raises `ContractError`.
        trusted: names of the public keys that may sign bundles; called at each judgement. None if the
            registry has no keys.
        sealed: the registry's own evaluations; None if it has no table for them.
        shipped: SHA-256 of the contract and the evaluation of the model that ships with this release.
    """

    def __init__(
        self,
        policy: GatePolicy,
        download: Callable[[str], AbstractContextManager[Path]],
        *,
        trusted: Callable[[], Mapping[str, str]] | None = None,
        sealed: SealedEvaluations | None = None,
        shipped: Mapping[str, str] | None = None,
    ) -> None:
        self._policy = policy
        self._download = download
        self._trusted = trusted
        self._sealed = sealed
        self._shipped = shipped_digests() if shipped is None else shipped
        by_default = "allow" if trusted is None else "refuse"
        self._needs_signature = (policy.unsigned_evidence or by_default) == "refuse"

    def judge(
        self, uri: str, *, champion_uri: str | None, champion_digest: str = "", adopt: bool = False
    ) -> Verdict:
        """Judge the version at `uri` as successor of the champion at `champion_uri`, if there is one.

        With `adopt`, only the model that ships with this release passes. It is compared with the champion by
        the sources that both were measured on, and may lack figures of others.

        If the champion's evidence can't be read, or its digest differs from the ledger's, that is a reason
        against the promotion: an override decides whether its successor goes without a comparison.
        """
        verdict = self.judge_return(uri)
        if verdict.reasons:
            return verdict
        champion = self.judge_return(champion_uri) if champion_uri else Verdict(digest=champion_digest)
        reasons = []
        if self._needs_signature and verdict.unsigned and verdict.digest != self._shipped[CONTRACT_FILE]:
            reasons.append(f"nobody vouches for its evaluation: {verdict.unsigned}")
        if adopt and verdict.evaluation != self._shipped[EVALUATION_FILE]:
            reasons.append("its evaluation isn't that of the model that ships with this release")
            adopt = False
        policy = self._policy.adopting() if adopt else self._policy
        try:
            figures, others = self._with_sealed(verdict), self._with_sealed(champion)
            reasons += reasons_against(figures, others or None, policy)
        except ConfigurationError as error:
            reasons.append(str(error))
        if champion.reasons:
            reasons.append(f"the champion can't be compared with: {'; '.join(champion.reasons)}")
        elif champion_digest not in {"", champion.digest}:
            reasons.append("the champion's files aren't those that the ledger records, so they don't count")
        return Verdict(tuple(reasons), verdict.digest, verdict.figures)

    def judge_return(self, uri: str) -> Verdict:
        """Judge the return of the previous champion by its files alone.

        It passed the policy once. If a stricter policy or the present champion's figures could block the
        return, there would be no way to roll back.
        """
        try:
            with self._download(uri) as folder:
                return self._read(folder)
        except ContractError as error:
            return Verdict(reasons=(str(error),))

    def _read(self, folder: Path) -> Verdict:
        try:
            open_bundle(folder).warmup()
            try:
                signer_of(folder, trusted=self._trusted() if self._trusted else {})
            except (InvalidSignatureError, ConfigurationError) as error:
                unsigned = str(error)
            else:
                unsigned = ""
            digest = file_digest(folder / CONTRACT_FILE)
            figures = read_evaluation(folder)
            return Verdict((), digest, figures, unsigned, file_digest(folder / EVALUATION_FILE))
        except ContractError as error:
            # Callers shouldn't see the server's temporary folder.
            raise ContractError(str(error).replace(f"{folder}/", "").replace(str(folder), "it")) from error

    def _with_sealed(self, verdict: Verdict) -> Figures:
        """Return a version's figures with the registry's own in place of those that its bundle claims."""
        own = {name: value for name, value in verdict.figures.items() if not name.startswith(SEALED)}
        return own | dict(self._sealed.figures(verdict.digest)) if own and self._sealed else own


def reasons_against(figures: Figures, champion: Figures | None, policy: GatePolicy) -> Iterator[str]:
    """Yield the reasons why a version with `figures` can't follow a champion with figures `champion`."""
    for check in policy.checks:
        value = figures.get(check.figure)
        if value is None:
            if check.required and check.figure not in policy.waived:
                where = "the registry: run `toxic-registry evaluate` there"
                yield (
                    f"{check.figure} is missing from "
                    f"{where if check.figure.startswith(SEALED) else 'its evaluation'}"
                )
        elif check.at_least is not None and value < check.at_least:
            yield f"{check.figure} is {value:.4f}, below its floor of {check.at_least:g}"
        elif check.at_most is not None and value > check.at_most:
            yield f"{check.figure} is {value:.4f}, above its ceiling of {check.at_most:g}"
    if champion is None:
        return
    demanded = {each.figure for each in policy.checks} | {
        each.figure for each in policy.not_worse_than_champion.figures
    }
    missing = sorted(
        name
        for name in champion.keys() - figures.keys()
        if not policy.waives(name) and (name in demanded or not name.startswith(SEALED))
    )
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        yield (
            f"it lacks figures that the champion has: {', '.join(missing[:_NAMED])}{more}; "
            "measure them, or list them under `waived` in the policy"
        )
    yield from _losses(figures, champion, policy)


def _losses(figures: Figures, champion: Figures, policy: GatePolicy) -> Iterator[str]:
    comparisons = policy.not_worse_than_champion
    differing = [n for n in comparisons.same_test_set if figures.get(n) != champion.get(n)]
    if differing and comparisons.on_another_test_set == "refuse":
        yield f"it was measured on another test set than the champion ({', '.join(differing)} differ)"
        return
    per_source = comparisons.on_another_test_set == "per_source"
    for comparison in comparisons.figures:
        if comparison.figure not in figures or comparison.figure not in champion:
            continue
        # The registry's own figures are always of one table.
        comparable = comparison.figure.startswith(SEALED) or (
            per_source and _same_source(comparison.figure, figures, champion)
        )
        if differing and not comparable:
            continue
        value, reference = figures[comparison.figure], champion[comparison.figure]
        loss = reference - value if comparison.better == "higher" else value - reference
        # Figures are sums of floats: the last bit must not decide about a loss of exactly the margin.
        if loss > comparison.margin + 1e-12:
            yield (
                f"{comparison.figure} is {value:.4f} against the champion's {reference:.4f}, "
                f"worse by more than the margin of {comparison.margin:g}"
            )


def _same_source(figure: str, figures: Figures, champion: Figures) -> bool:
    """Return whether both evaluations measured a figure on as many rows, by the count nearest to its name."""
    prefix = figure
    while prefix := prefix.rpartition(".")[0]:
        for count in (f"{prefix}.rows", f"{prefix}.cases"):
            if count in figures or count in champion:
                return figures.get(count) == champion.get(count)
    return False

"""The canary: a version that passed the gate answers a share of the callers, before all of them.

Invariant: a caller is answered by the same version during a trial, in every replica; without a canary that is
ready, the champion answers everyone.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import KW_ONLY, dataclass
from hashlib import blake2b

from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_core.registered import CANARY
from toxic_inference.serving.interfaces import Scorer, Session, Target, Terms
from toxic_inference.serving.scoring.service import DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class CanaryScorer:
    """Implements `Scorer` over another one, and sends some callers to the canary.

    Attributes:
        scorer: scores with either version.
        default_alias: the alias that shares its callers.
        fraction: share of the callers that the canary answers, from 0 to 1. A caller without a name, such as
            a background job, is the champion's.
    """

    scorer: Scorer
    _: KW_ONLY
    default_alias: str
    fraction: float

    @contextmanager
    def session(self, target: Target, terms: Terms = DEFAULT_TERMS) -> Iterator[Session]:
        """Lease the version that `target` names, or the canary; raises as the scorer does."""
        default = target.version is None and target.alias in {None, self.default_alias}
        digest = blake2b(terms.caller.encode(), digest_size=8, person=b"canary").digest()
        chosen = bool(terms.caller) and int.from_bytes(digest) / 2**64 < self.fraction
        with ExitStack() as stack:
            session = None
            if default and chosen:
                with suppress(UnknownModelError, NoVersionReadyError):  # no trial now
                    session = stack.enter_context(self.scorer.session(Target(alias=CANARY), terms))
            yield session or stack.enter_context(self.scorer.session(target, terms))

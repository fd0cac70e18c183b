"""A session that hands its scores to an observer as well."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toxic_core.contract import Contract
from toxic_core.contract.scales import Scales
from toxic_inference.serving.interfaces import Explanation, Lane, RawScore, Row, Session, Text, TextScore
from toxic_model.loaded import Float32Array


@dataclass(frozen=True, slots=True)
class SampledSession:
    """Implements `Session` over another one, and offers its scores as samples."""

    session: Session
    offer: Callable[[Session, Sequence[Text], Sequence[TextScore]], None]

    @property
    def version(self) -> str:
        """As the session's."""
        return self.session.version

    @property
    def contract(self) -> Contract:
        """As the session's."""
        return self.session.contract

    @property
    def scales(self) -> Scales | None:
        """As the session's."""
        return self.session.scales

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        """Score as the session does, and offer the scores."""
        scores = await self.session.score(texts, lane=lane)
        self.offer(self.session, texts, scores)
        return scores

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        """Explain as the session does."""
        return await self.session.explain(text, lane=lane)

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        """Compute as the session does."""
        return await self.session.infer(rows, lane=lane)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Sequence[RawScore]:
        """Compute as the session does."""
        return await self.session.infer_texts(texts, lane=lane)

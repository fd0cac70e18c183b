"""A model in memory, ready to score; `toxic_model.opening` makes it from a bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from toxic_core.contract import Contract
from toxic_core.contract.scales import Scales
from toxic_core.tokens import Tokeniser
from toxic_model.runtime import Float32Array, Infer
from toxic_model.scoring import Progress, Scores, ScoringOptions, read_scores, score_raw

__all__ = ["Float32Array", "Infer", "LoadedModel"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A verified bundle whose warm-up scores were reproduced.

    Attributes:
        contract: the bundle's contract.
        tokenizer: the bundle's tokenizer, with the contract's normalisation. Thread-safe.
        runtime: what computes the model and in which precision, such as `openvino-int8`.
        whole: computes a batch with all threads; no other batch may run at the same time.
        streams: executables that may run at the same time, one batch each, with an equal share of the
            threads; empty if the model computes one batch at a time.
        close: frees the model; called once, after the last batch.
        scales: the bundle's scales; None if it has none.
        rates: measured tokens per second by precision; empty if there was no choice.
    """

    contract: Contract
    tokenizer: Tokeniser
    runtime: str
    whole: Infer
    streams: tuple[Infer, ...]
    close: Callable[[], None]
    scales: Scales | None = None
    rates: Mapping[str, float] = field(default_factory=dict)

    def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None] | None = None,
        *,
        options: ScoringOptions,
        progress: Progress | None = None,
    ) -> Scores:
        """Score texts as serving does. Blocks; no other batch may run at the same time.

        Args:
            texts: in any order and number.
            languages: ISO 639-1 code per text, for its own calibration and thresholds; None or empty if it
                isn't known.
            options: how texts are read; the windows' overlap was set when the model was opened.
            progress: called after each batch.
        """
        raw = score_raw(
            texts,
            tokenizer=self.tokenizer,
            whole=self.whole,
            # Two batches side by side lose less to waiting than the threads of one product.
            streams=self.streams,
            labels=len(self.contract.labels),
            options=options,
            progress=progress,
        )
        return read_scores(raw, languages or [None] * len(texts), self.contract)

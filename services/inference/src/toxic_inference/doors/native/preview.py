"""`POST /policies/preview`: what a policy would flag of a sample, before it is in the service's file.

Invariant: a preview counts for no metric of traffic.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract.calibration import calibrate
from toxic_core.errors import ConfigurationError
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import read_json, unless_departed, validate
from toxic_inference.http.door import json_response
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import Language, check_count, check_texts, identified
from toxic_inference.policies.file import parse_policies
from toxic_inference.policies.governing import decided_by
from toxic_inference.policies.policy import DecidedBy, Policy
from toxic_inference.serving.interfaces import Lane, Session, Target, Text, TextScore
from toxic_model.scoring import decide


class PreviewRequest(BaseModel):
    """A draft of a policies file, and a sample of texts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    policies: str = Field(description="The text of a policies file (docs/policies.md).")
    policy: str | None = Field(default=None, description="Which of its policies, if it has several.")
    texts: list[str] = Field(min_length=1, fail_fast=True, description="The sample.")
    lang: Language | None = Field(default=None, description="Language of every text.")


class PreviewedLabel(BaseModel):
    """How many texts get a label."""

    model: int = Field(description="By the version's own threshold, without a policy.")
    policy: int = Field(description="By the policy.")
    by_list: int = Field(description="Texts of which the policy's lists decide this label.")
    threshold: float | None = Field(
        default=None,
        description="The policy's, in languages without one of their own; left out if no score satisfies it.",
    )


class PreviewedText(BaseModel):
    """Whether a text gets any label."""

    model: bool = Field(description="By the version's own thresholds, without a policy.")
    policy: bool = Field(description="By the policy.")
    decided_by: DecidedBy = Field(description="`list` if a list decided any label.")


class PreviewAnswer(BaseModel):
    """What a policy would flag of a sample."""

    policy: str
    model_version: str
    texts: int
    flagged_by_model: int = Field(description="Texts with any label, without a policy.")
    flagged_by_policy: int = Field(description="Texts with any label, by the policy.")
    labels: dict[str, PreviewedLabel]
    results: list[PreviewedText] = Field(description="The texts, in order.")


async def preview(request: Request, backend: Backend) -> Response:
    """Preview a policy: what it would flag of a sample, beside what the model alone flags.

    No text is stored or counted. With keys, this needs an operator's: compiling patterns takes memory.
    """
    body = validate(PreviewRequest, await read_json(request))
    check_count(body.texts, backend.limits, field="texts")
    check_texts({f"texts[{index}]": text for index, text in enumerate(body.texts)}, backend.limits)
    name, policy = await backend.threads.read.run(_read, body, caller=caller_in(request.scope))
    given = [Text(text, body.lang) for text in body.texts]
    without = await identified(given, request, backend)
    identify = policy.identifier(backend.identify_language)
    texts = await identified(given, request, replace(backend, identify_language=identify))
    with backend.scorer.session(Target(), terms_of(request, store=False)) as session:
        policy.check(session.contract, name=name, version=session.version)
        before = await unless_departed(request, _scored(session, without))
        caller = caller_in(request.scope)
        read = await backend.threads.read.run(lambda: list(map(policy.read, texts)), caller=caller)
        scores = await unless_departed(request, _scored(session, read))
        decided = await backend.threads.read.run(
            partial(_decided, policy, read, scores, session), caller=caller
        )
        answer = _compared(name, policy, session, before=before, decided=decided)
        return json_response(answer, headers={MODEL_VERSION_HEADER: session.version})


def _read(body: PreviewRequest) -> tuple[str, Policy]:
    try:
        known = parse_policies(body.policies, name="the draft").policies
    except ConfigurationError as error:
        raise InvalidRequestError(str(error), field="policies") from error
    name = body.policy or (next(iter(known)) if len(known) == 1 else None)
    if name not in known:
        raise InvalidRequestError(
            f"The draft has the policies {', '.join(known)}; set policy to one of them.", field="policy"
        )
    return name, known[name]


async def _scored(session: Session, texts: Sequence[Text]) -> list[TextScore]:
    """Return the texts' calibrated scores with the version's decisions; raw scores aren't counted."""
    raw = await session.infer_texts([text.content for text in texts], lane=Lane.BULK)
    languages = [text.language for text in texts]
    scores = calibrate(
        np.stack([each.scores for each in raw]), languages=languages, contract=session.contract
    )
    unread = [each.low_confidence for each in raw]
    decided = decide(scores, languages, session.contract, low_confidence=unread)
    return [
        TextScore(
            tuple(row),
            tuple(decisions),
            tokens=each.tokens,
            truncated=each.truncated,
            low_confidence=each.low_confidence,
        )
        for each, row, decisions in zip(raw, scores.tolist(), decided.tolist(), strict=True)
    ]


def _decided(
    policy: Policy, texts: Sequence[Text], scores: Sequence[TextScore], session: Session
) -> list[TextScore]:
    contract = session.contract
    return [
        policy.decide(score, text.language, listed=policy.listed(text.content, contract), contract=contract)
        for text, score in zip(texts, scores, strict=True)
    ]


def _compared(
    name: str, policy: Policy, session: Session, *, before: Sequence[TextScore], decided: Sequence[TextScore]
) -> PreviewAnswer:
    results = [
        PreviewedText(model=any(old.decisions), policy=any(new.decisions), decided_by=decided_by([new]))
        for old, new in zip(before, decided, strict=True)
    ]
    labels: dict[str, PreviewedLabel] = {}
    for column, label in enumerate(session.contract.labels):
        threshold = policy.threshold(label, None, session.contract)
        labels[label] = PreviewedLabel(
            model=sum(score.decisions[column] for score in before),
            policy=sum(score.decisions[column] for score in decided),
            by_list=sum(score.decided_by[column] == DecidedBy.LIST for score in decided),
            threshold=threshold if isfinite(threshold) else None,
        )
    return PreviewAnswer(
        policy=name,
        model_version=session.version,
        texts=len(results),
        flagged_by_model=sum(result.model for result in results),
        flagged_by_policy=sum(result.policy for result in results),
        labels=labels,
        results=results,
    )

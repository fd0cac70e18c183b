"""The thresholds that decide: `GET /thresholds`, and those used for one text."""

from collections.abc import Callable
from math import isfinite

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract import Contract
from toxic_core.languages import ANY_LANGUAGE
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.door import json_response
from toxic_inference.http.encodings.forms import check_query
from toxic_inference.http.policies import POLICY_PARAMETER, following, policy_headers
from toxic_inference.http.terms import terms_of
from toxic_inference.policies.policy import Policy
from toxic_inference.serving.interfaces import Target

Thresholds = Callable[[str | None], dict[str, float]]
"""Returns each label's threshold for a language, without labels that no score reaches."""


class ThresholdsAnswer(BaseModel):
    """The calibrated scores from which labels are decided."""

    model_name: str
    model_version: str
    policy: str | None = Field(default=None, description="The policy that they belong to, if any.")
    languages: list[str] = Field(description="Languages that the version was evaluated for.")
    thresholds: dict[str, dict[str, float]] = Field(
        description="By label, then by language; `*` is for languages without one of their own. Left out if "
        "no score satisfies the policy's rule."
    )


def thresholds_of(backend: Backend, contract: Contract) -> Thresholds:
    """Return what gives the thresholds of a version, or of the policy that the backend follows."""
    policy = _policy_of(backend)

    def of(language: str | None) -> dict[str, float]:
        values = {
            label: policy.threshold(label, language, contract)
            if policy
            else contract.threshold(label, language)
            for label in contract.labels
        }
        return {label: value for label, value in values.items() if isfinite(value)}

    return of


async def thresholds(request: Request, backend: Backend) -> Response:
    """List the thresholds: the calibrated score from which each label is decided, by language."""
    check_query(request, POLICY_PARAMETER)
    backend = following(request, backend)
    with backend.scorer.session(Target(), terms_of(request)) as session:
        contract, version = session.contract, session.version
    of, policy = thresholds_of(backend, contract), _policy_of(backend)
    shown: dict[str, dict[str, float]] = {}
    for label in contract.labels:
        languages = {*contract.thresholds[label], *(policy.thresholds.get(label, {}) if policy else {})}
        found = {str(each): of(None if each == ANY_LANGUAGE else str(each)) for each in sorted(languages)}
        shown[label] = {each: values[label] for each, values in found.items() if label in values}
    answer = ThresholdsAnswer(
        model_name=backend.model_name,
        model_version=version,
        policy=backend.policy,
        languages=list(contract.languages),
        thresholds=shown,
    )
    return json_response(answer, headers={MODEL_VERSION_HEADER: version, **policy_headers(backend.policy)})


def _policy_of(backend: Backend) -> Policy | None:
    known = backend.policies()
    return known.policies.get(backend.policy) if known is not None and backend.policy else None

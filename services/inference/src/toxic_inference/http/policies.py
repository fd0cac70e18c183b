"""Which policy a request follows."""

from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request

from toxic_inference.http.backend import Backend
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_of
from toxic_inference.policies.governing import Governor, UnknownPolicyError, decided_by
from toxic_inference.serving.interfaces import TextScore

POLICY_HEADER = "x-policy"
"""Names the policy, in requests and in answers."""
POLICY_PARAMETER = {"policy": "Name of a policy; the header x-policy works too."}
"""The same as a query parameter."""
DECIDED_HEADER = "x-policy-decided-by"
"""What decided, in answers without a member for it in their body: `list` if a list decided any label."""


def governor_of(request: Request, backend: Backend) -> Governor | None:
    """Return what applies the policy that a request names, else its API key's; None without a policy.

    Raises:
        InvalidRequestError: there is no such policy.
    """
    known = backend.policies()
    name = request.query_params.get("policy") or request.headers.get(POLICY_HEADER)
    if name is None and known is not None:
        name = known.of_key(caller_of(request))
    if name is None:
        return None
    try:
        return Governor.named(name, known, threads=backend.threads.read, emit=backend.emit)
    except UnknownPolicyError as error:
        raise InvalidRequestError(str(error), field="policy") from error


def following(request: Request, backend: Backend) -> Backend:
    """Return the backend that scores and identifies languages by the policy of a request, if it has one.

    Raises:
        InvalidRequestError: there is no such policy.
    """
    governor = governor_of(request, backend)
    if governor is None:
        return backend
    return replace(
        backend,
        policy=governor.name,
        scorer=governor.scorer(backend.scorer),
        identify_language=governor.policy.identifier(backend.identify_language),
    )


def policy_headers(policy: str | None, scores: Sequence[TextScore] | None = None) -> dict[str, str]:
    """Return the headers that name a policy and what decided; none without a policy."""
    if policy is None:
        return {}
    decided = {} if scores is None else {DECIDED_HEADER: decided_by(scores)}
    return {POLICY_HEADER: policy, **decided}

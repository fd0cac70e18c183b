"""Which policy a request follows."""

from dataclasses import dataclass

from starlette.requests import Request

from toxic_inference.events import PolicyApplied
from toxic_inference.http.backend import Backend
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_of
from toxic_inference.policies.policy import DecidedBy, Policy

POLICY_HEADER = "x-policy"
"""Names the policy, in requests and in answers."""
DECIDED_HEADER = "x-policy-decided-by"
"""What decided, in answers without a member for it in their body: `list` if a list decided any label."""


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy and its name."""

    name: str
    policy: Policy

    def count(self, backend: Backend, *, flagged: bool, by: DecidedBy) -> None:
        """Count a text that was decided by it."""
        backend.emit(PolicyApplied(self.name, str(by), "yes" if flagged else "no"))


def policy_of(request: Request, backend: Backend) -> NamedPolicy | None:
    """Return the policy that a request names, else its API key's, else None.

    Raises:
        InvalidRequestError: there is no such policy.
    """
    known = backend.policies()
    named = request.query_params.get("policy") or request.headers.get(POLICY_HEADER)
    if named is not None and (known is None or named not in known.policies):
        raise InvalidRequestError(
            f"There is no policy {named[:50]!r}. Name one of the service's policies file.", field="policy"
        )
    name = named or (known.of_key(caller_of(request)) if known else None)
    return NamedPolicy(name, known.policies[name]) if known and name else None

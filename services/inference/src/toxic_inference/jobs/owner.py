"""The service that owns the jobs, for one that forwards requests about them: replicas behind one address.

Invariant: this keeps no state. The owner checks the caller's key and counts the caller's share.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx

from toxic_inference.jobs.record import JobsUnavailableError

_FORWARDED = "x-toxic-forwarded"
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 120.0
"""Longest time without a byte: an uploaded file is checked before its answer."""


class JobsOwner:
    """Asks the owner of the jobs.

    Args:
        url: its address, such as http://inference-jobs:8001.
    """

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)

    async def run(self) -> None:
        """Keep connections until cancelled."""
        async with self._client:
            await asyncio.Event().wait()

    async def ask(
        self,
        method: str,
        target: bytes,
        *,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterator[bytes] | None,
    ) -> httpx.Response:
        """Return the owner's answer, whose body isn't read yet; close it.

        Args:
            method: HTTP method.
            target: path and query.
            headers: what the owner gets, without the rest of the request.
            body: the request's body.

        Raises:
            JobsUnavailableError: the owner doesn't answer, or isn't one.
        """
        if any(name == _FORWARDED for name, _ in headers):
            raise JobsUnavailableError(
                "Jobs are forwarded in a circle: set INFERENCE_JOBS_URL to the service that owns them, and "
                "leave it unset there."
            )
        request = self._client.build_request(
            method,
            self._url.copy_with(raw_path=target),
            headers=[*headers, (_FORWARDED, "1"), ("accept-encoding", "identity")],
            content=body,
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            raise JobsUnavailableError(
                f"The service that owns the jobs doesn't answer ({type(error).__name__}); ask again soon."
            ) from error

"""How routes become handlers.

Invariant: what FastAPI documents of a route doesn't depend on how it is called.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class DirectRoute(APIRoute):
    """A route whose endpoint, where it takes the request and nothing else, is called with it at once.

    FastAPI would first look for parameters and dependencies that there aren't, at every request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        endpoint = self.endpoint
        taken = [parameter.annotation for parameter in inspect.signature(endpoint).parameters.values()]
        if taken == [Request] and inspect.iscoroutinefunction(endpoint) and not self.dependencies:
            return endpoint
        return super().get_route_handler()

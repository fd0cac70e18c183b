"""`GET /v1alpha1/scale`: the scale of the door's scores, which Google's API doesn't have."""

from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract.scales import Curve
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.door import json_response
from toxic_inference.serving.interfaces import Target


class ScaleAnswer(BaseModel):
    """The scale of the scores; without curves they are calibrated probabilities."""

    origin: Literal["none", "bundle", "file"]
    source: str | None = None
    model: str | None = None
    curves: dict[str, dict[str, Curve]]


async def scale(_: Request, backend: Backend) -> Response:
    """Show the scale of the scores: its source, and by attribute and language its curve and error."""
    rules = backend.perspective
    with backend.scorer.session(Target()) as session:
        found = rules.scales(session)
        answer = ScaleAnswer(
            origin=rules.scale_origin if found else "none",
            source=found and found.source,
            model=(found and found.model) or None,
            curves=found.curves if found else {},
        )
        return json_response(answer, headers={MODEL_VERSION_HEADER: session.version})

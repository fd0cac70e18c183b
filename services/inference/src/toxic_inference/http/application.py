"""The HTTP application: every door behind the same middleware and error table."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from toxic_inference import __version__
from toxic_inference.doors.events.routes import EventReceiver, events_router
from toxic_inference.doors.feedback.routes import FeedbackRequest, feedback_router
from toxic_inference.doors.jobs.routes import jobs_router
from toxic_inference.doors.native.routes import REQUEST_MODELS as PREDICT_MODELS
from toxic_inference.doors.native.routes import predict_router
from toxic_inference.doors.open_inference import routes as open_inference
from toxic_inference.doors.operations.routes import operations_router
from toxic_inference.doors.perspective import routes as perspective
from toxic_inference.doors.tf_serving.routes import tfserving_router
from toxic_inference.http.admission import Admission, AdmissionRules
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Doors
from toxic_inference.http.error_shapes import install_error_handlers
from toxic_inference.http.guard import Guard, GuardRules
from toxic_inference.http.middleware import BodyLimit, RequestContext, SecurityHeaders
from toxic_inference.http.openapi import add_examples
from toxic_inference.web.pages import pages_router

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_DESCRIPTION = """Scores comments for six kinds of toxicity with the champion of a model registry.

Every answer names the model version that gave it, in its body or in the header `x-model-version`."""


_REQUEST_MODELS = (
    *PREDICT_MODELS,
    *perspective.REQUEST_MODELS,
    *open_inference.REQUEST_MODELS,
    FeedbackRequest,
)
"""Models of bodies that routes read by themselves, which FastAPI therefore doesn't find."""


_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
}
NO_RULES = GuardRules()

_RETRY_SECONDS = 1.0
"""After which a request that was refused for the event loop's sake has a fair chance."""


class _Application(FastAPI):
    """FastAPI, with every request model, and an example of every body, in its OpenAPI document."""

    def openapi(self) -> dict[str, object]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for model in _REQUEST_MODELS:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
            add_examples(document)
            document["components"]["securitySchemes"] = _SECURITY_SCHEMES
            # The empty one: keys are asked for only where the service has them.
            document["security"] = [{}, *({name: []} for name in _SECURITY_SCHEMES)]
        return super().openapi()


def create_api(
    doors: Doors,
    *,
    render_metrics: Callable[[], bytes],
    events: EventReceiver | None = None,
    rules: GuardRules = NO_RULES,
    cors_origins: Sequence[str] = (),
    admission: AdmissionRules | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        doors: what the routes work with.
        render_metrics: the text of `/metrics`.
        events: takes the registry's messages; None where no secret is shared with it.
        rules: who may pass.
        cors_origins: whose pages may ask from a browser; nobody else's may.
        admission: who is let in under load; None for everybody.
        lifespan: runs the core while the application runs.
    """
    app = _Application(
        title="toxic-inference",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(predict_router(doors))
    app.include_router(perspective.perspective_router(doors))
    app.include_router(tfserving_router(doors))
    app.include_router(open_inference.open_inference_router(doors))
    app.include_router(jobs_router(doors.jobs))
    app.include_router(feedback_router(doors))
    app.include_router(operations_router(doors, render_metrics=render_metrics))
    app.include_router(events_router(events))
    app.include_router(pages_router())
    install_error_handlers(app)
    limits = doors.limits
    app.add_middleware(BodyLimit, max_bytes=limits.body_bytes, max_upload_bytes=limits.upload_bytes)
    app.add_middleware(Guard, rules=rules)
    if cors_origins:
        # Inside the security headers, around the guard: a preflight has no key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key", "x-request-id", "timeout"],
            expose_headers=[MODEL_VERSION_HEADER, "x-request-id", "retry-after"],
        )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestContext, emit=doors.emit)
    if admission is not None:
        app.add_middleware(Admission, rules=admission, retry_after_seconds=_RETRY_SECONDS, emit=doors.emit)
    return app

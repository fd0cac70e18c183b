"""The routes `POST /alerts` for Alertmanager and `GET /metrics` for Prometheus.

Invariant: a notification without the configured token is refused, and all are if no token is configured.
"""

import hmac
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from toxic_core.errors import ToxicError
from toxic_training.retraining.alerts import Notification
from toxic_training.server.answers import AlertAnswer, ProblemAnswer, RunAnswer
from toxic_training.server.composition import Parts
from toxic_training.server.metrics import CONTENT_TYPE
from toxic_training.server.settings import Settings


class AlertsDisabledError(ToxicError):
    """No token is configured to check notifications with."""


class WrongTokenError(ToxicError):
    """The notification doesn't carry the token."""


def watching_routes(settings: Settings, parts: Parts) -> APIRouter:
    """Return the two routes."""
    router = APIRouter(tags=["watching"])
    token = settings.alert_token.get_secret_value()

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        if not token:
            raise AlertsDisabledError("Alerts are disabled; set TRAINING_ALERT_TOKEN to enable them.")
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise WrongTokenError(
                "The header Authorization must be Bearer with the token of TRAINING_ALERT_TOKEN; configure "
                "the same token in Alertmanager."
            )

    @router.post(
        "/alerts",
        dependencies=[Depends(check_token)],
        responses={
            HTTPStatus.UNAUTHORIZED: {"model": ProblemAnswer},
            HTTPStatus.NOT_FOUND: {"model": ProblemAnswer},
        },
    )
    async def alerts(notification: Notification) -> AlertAnswer:
        """Decide about one notification of Alertmanager's webhook, and start a run or answer why not.

        A refusal has status 200, so that Alertmanager doesn't resend the notification at once.
        """
        retraining = await parts.retraining.take(notification.read())
        run = parts.runs.get(retraining.run_id) if retraining.run_id else None
        return AlertAnswer(
            started=run is not None,
            refusal=retraining.decision.refusal,
            message=retraining.decision.message,
            run=run and RunAnswer.of(run, mlflow_page=settings.mlflow_page),
        )

    @router.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(parts.metrics.render(), headers={"content-type": CONTENT_TYPE})

    return router

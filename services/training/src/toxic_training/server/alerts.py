"""`POST /alerts`: Alertmanager's door, and `GET /metrics`: Prometheus's.

Invariant: without the token nothing is decided, and without one in the settings nothing is taken.
"""

import hmac
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from toxic_core.errors import ToxicError
from toxic_training.retraining.alerts import Notification
from toxic_training.retraining.desk import RetrainingDesk
from toxic_training.server.answers import AlertAnswer, ProblemAnswer
from toxic_training.server.metrics import CONTENT_TYPE, Metrics
from toxic_training.server.settings import Settings


class AlertsDisabledError(ToxicError):
    """There is no token to check notifications with."""


class WrongTokenError(ToxicError):
    """The notification doesn't carry the token."""


def watching_routes(settings: Settings, *, desk: RetrainingDesk, metrics: Metrics) -> APIRouter:
    """Return the two routes."""
    router = APIRouter(tags=["watching"])
    token = settings.alert_token.get_secret_value()

    def check_token(authorization: Annotated[str, Header()] = "") -> None:
        if not token:
            raise AlertsDisabledError("Alerts start no training here: set TRAINING_ALERT_TOKEN to let them.")
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise WrongTokenError(
                "The header Authorization isn't Bearer with the token of TRAINING_ALERT_TOKEN; give "
                "Alertmanager the same."
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
        """Decide about one notification of Alertmanager's webhook: a run for it, or why there is none.

        A refusal is an answer, so its status is 200: Alertmanager needn't send it again before its time.
        """
        retraining = await desk.take(notification.read())
        return AlertAnswer.of(retraining, mlflow_page=settings.mlflow_page)

    @router.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    return router

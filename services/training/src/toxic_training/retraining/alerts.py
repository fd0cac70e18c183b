"""Parses Alertmanager's webhook (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

Invariant: every text of an `Alert` is bounded. An alert requests a training only through its label `action`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

ACTION_LABEL = "action"
RETRAIN = "retrain"
"""The label, and its value, by which an alert requests a retraining."""

_MAX_CHARACTERS = 200
_MAX_ALERTS = 1000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a notification.

    Attributes:
        name: its rule's name.
        fingerprint: Alertmanager's hash of its labels.
        since: when it began to fire; together with the fingerprint it identifies one episode.
        is_firing: False if it is resolved.
        requests_retraining: whether its rule asks for a retraining.
        summary: its annotation, for people.
    """

    name: str
    fingerprint: str
    since: datetime
    is_firing: bool
    requests_retraining: bool
    summary: str


class _Alert(BaseModel):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class Notification(BaseModel):
    """The body of Alertmanager's webhook, version 4, without the fields that this service ignores."""

    version: Literal["4"]
    alerts: list[_Alert] = Field(max_length=_MAX_ALERTS)

    def read(self) -> tuple[Alert, ...]:
        """Return the alerts in the order given."""
        return tuple(
            Alert(
                name=alert.labels.get("alertname", "unnamed")[:_MAX_CHARACTERS],
                fingerprint=alert.fingerprint,
                since=alert.starts_at,
                is_firing=alert.status == "firing",
                requests_retraining=alert.labels.get(ACTION_LABEL) == RETRAIN,
                summary=alert.annotations.get("summary", "")[:_MAX_CHARACTERS],
            )
            for alert in self.alerts
        )

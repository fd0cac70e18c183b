"""What Alertmanager's webhook says (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

Invariant: beyond this module an alert is an `Alert`, whose every text is bounded; whoever wrote the rule
decides by the label `action` whether it may start a training.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

ACTION_LABEL = "action"
RETRAIN = "retrain"
"""The label, and its value, by which an alert asks for a retraining."""

_MOST_CHARACTERS = 200
_MOST_ALERTS = 1000


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that a notification speaks of.

    Attributes:
        name: of its rule.
        fingerprint: Alertmanager's hash of its labels.
        since: when it began to fire; with the fingerprint, what tells one episode of it from another.
        is_firing: whether it still does.
        asks: whether its rule wants a retraining.
        summary: its annotation, for people.
    """

    name: str
    fingerprint: str
    since: datetime
    is_firing: bool
    asks: bool
    summary: str


class _Alert(BaseModel):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


class Notification(BaseModel):
    """The body of Alertmanager's webhook, version 4, as far as it is of use here."""

    version: Literal["4"]
    alerts: list[_Alert] = Field(max_length=_MOST_ALERTS)

    def read(self) -> tuple[Alert, ...]:
        """Return the alerts, in the order given."""
        return tuple(
            Alert(
                name=alert.labels.get("alertname", "unnamed")[:_MOST_CHARACTERS],
                fingerprint=alert.fingerprint,
                since=alert.starts_at,
                is_firing=alert.status == "firing",
                asks=alert.labels.get(ACTION_LABEL) == RETRAIN,
                summary=alert.annotations.get("summary", "")[:_MOST_CHARACTERS],
            )
            for alert in self.alerts
        )

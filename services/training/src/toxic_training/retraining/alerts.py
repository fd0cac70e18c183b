"""Parses Alertmanager's webhook (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

Invariant: an alert's name and summary are bounded. It requests a training only through its label `action`.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

ACTION_LABEL = "action"
RETRAIN = "retrain"
"""The label, and its value, by which an alert requests a retraining."""

_MAX_CHARACTERS = 200
_MAX_ALERTS = 1000


class Alert(BaseModel):
    """One alert of a notification; with its fingerprint, `since` identifies one episode of firing."""

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    since: AwareDatetime = Field(alias="startsAt")
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]

    @property
    def name(self) -> str:
        """Its rule's name."""
        return self.labels.get("alertname", "unnamed")[:_MAX_CHARACTERS]

    @property
    def is_firing(self) -> bool:
        """Whether it still fires, and isn't resolved."""
        return self.status == "firing"

    @property
    def requests_retraining(self) -> bool:
        """Whether its rule asks for a retraining."""
        return self.labels.get(ACTION_LABEL) == RETRAIN

    @property
    def summary(self) -> str:
        """Its annotation, for people."""
        return self.annotations.get("summary", "")[:_MAX_CHARACTERS]


class Notification(BaseModel):
    """The body of Alertmanager's webhook, version 4, without the fields that this service ignores."""

    version: Literal["4"]
    alerts: tuple[Alert, ...] = Field(max_length=_MAX_ALERTS)

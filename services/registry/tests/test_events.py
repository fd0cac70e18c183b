import json
import time

import pytest

from toxic_core.errors import InvalidSignatureError
from toxic_core.signing import verify
from toxic_registry.ledger.rows import Change, Entry, Outcome
from toxic_registry.server.events import EventSender, message
from toxic_testing.registry import Receiver, free_port


def row(after: int, outcome: Outcome = Outcome.ACCEPTED) -> Entry:
    """Make a row that says champion moved."""
    return Entry(
        1, "2026-11-23T10:00:00.000000+00:00", Change("m", "champion", 1, after, outcome, "zoe"), "", ""
    )


def test_message_is_the_one_of_mlflows_webhook() -> None:
    """A receiver that knows MLflow's knows ours; a vanished alias is its own action, without a version."""
    told = json.loads(message(Change("m", "champion", 1, 2, Outcome.ACCEPTED, "zoe"), at=0))
    assert told == {
        "entity": "model_version_alias",
        "action": "created",
        "timestamp": "1970-01-01T00:00:00+00:00",
        "data": {"name": "m", "alias": "champion", "version": "2"},
    }
    gone = json.loads(message(Change("m", "champion", 1, None, Outcome.ACCEPTED, "zoe"), at=0))
    assert (gone["action"], gone["data"]) == ("deleted", {"name": "m", "alias": "champion"})


def test_receiver_that_is_away_costs_the_others_nothing(receiver: Receiver) -> None:
    """An address where nobody listens is tried and given up, and the next one is told."""
    sender = EventSender([f"http://127.0.0.1:{free_port()}/", receiver.uri], secret="s3cret")
    sender(row(7001))
    assert receiver.wait_for("m", "7001").body


def test_refused_change_is_nobodys_news(receiver: Receiver) -> None:
    """Only what is so is told; in order, so that the later row shows the earlier was skipped."""
    sender = EventSender([receiver.uri], secret="s3cret")
    sender(row(7002, Outcome.REFUSED))
    sender(row(7003, Outcome.OVERRIDDEN))
    receiver.wait_for("m", "7003")
    told = [json.loads(delivery.body)["data"].get("version") for delivery in receiver.deliveries]
    assert "7002" not in told


def test_message_is_good_for_the_secret_alone(receiver: Receiver) -> None:
    """Whoever doesn't hold the secret can't tell an inference service anything."""
    EventSender([receiver.uri], secret="s3cret")(row(7004))
    delivery = receiver.wait_for("m", "7004")
    assert verify(delivery.headers, delivery.body, secret="s3cret", now=time.time())
    with pytest.raises(InvalidSignatureError):
        verify(delivery.headers, delivery.body, secret="another", now=time.time())

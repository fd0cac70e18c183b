import json
import time
from datetime import UTC, datetime

import pytest

from toxic_core.errors import InvalidSignatureError
from toxic_core.signing import verify
from toxic_registry.ledger.entries import Change, Entry, Outcome, append_to
from toxic_registry.server.webhooks import WebhookSender, message
from toxic_testing.ports import free_port
from toxic_testing.registry import Receiver


def moved(after: int, outcome: Outcome = Outcome.ACCEPTED) -> Entry:
    """Make the entry of a change of champion."""
    return append_to(
        None, Change("m", "champion", 1, after, outcome, "zoe"), now=datetime(2026, 11, 23, 10, tzinfo=UTC)
    )


def test_message_is_the_one_of_mlflows_webhook() -> None:
    """A receiver of MLflow's webhooks understands ours; deleting an alias is an action without a version."""
    sent = json.loads(message(Change("m", "champion", 1, 2, Outcome.ACCEPTED, "zoe"), at=0))
    assert sent == {
        "entity": "model_version_alias",
        "action": "created",
        "timestamp": "1970-01-01T00:00:00+00:00",
        "data": {"name": "m", "alias": "champion", "version": "2"},
    }
    deleted = json.loads(message(Change("m", "champion", 1, None, Outcome.ACCEPTED, "zoe"), at=0))
    assert (deleted["action"], deleted["data"]) == ("deleted", {"name": "m", "alias": "champion"})


def test_unreachable_receiver_does_not_block_the_others(receiver: Receiver) -> None:
    """After its retries, the next address gets the message."""
    sender = WebhookSender([f"http://127.0.0.1:{free_port()}/", receiver.uri], secret="s3cret")
    sender.send(moved(7001))
    assert receiver.wait_for("m", "7001").body


def test_refused_change_sends_no_message(receiver: Receiver) -> None:
    """Messages are sent in order, so a later one shows that the earlier one was skipped."""
    sender = WebhookSender([receiver.uri], secret="s3cret")
    sender.send(moved(7002, Outcome.REFUSED))
    sender.send(moved(7003, Outcome.OVERRIDDEN))
    receiver.wait_for("m", "7003")
    versions = [json.loads(delivery.body)["data"].get("version") for delivery in receiver.deliveries]
    assert "7002" not in versions


def test_message_verifies_only_with_its_secret(receiver: Receiver) -> None:
    """A sender without the secret can't send an inference service a valid message."""
    WebhookSender([receiver.uri], secret="s3cret").send(moved(7004))
    delivery = receiver.wait_for("m", "7004")
    assert verify(delivery.headers, delivery.body, secret="s3cret", now=time.time())
    with pytest.raises(InvalidSignatureError):
        verify(delivery.headers, delivery.body, secret="another", now=time.time())

"""One name means one thing, and a decision against the gate has a person's name."""

import pytest
from mlflow.exceptions import MlflowException

from toxic_core.registered import CHAMPION
from toxic_registry.caller import Caller
from toxic_registry.client.registry_client import RegistryClient
from toxic_registry.ledger.entries import Outcome
from toxic_testing.registry import Attacked

pytestmark = pytest.mark.timeout(600)
WORSE = {"test.toxic.es.auc": 0.5}
OVERRIDE = {"actor": "zoe", "reason": "Spanish is off anyway", "override": "true"}


@pytest.mark.hostile(14)
def test_alias_cannot_shadow_a_version_s_number(registry: Attacked) -> None:
    """An override of a version that someone reviewed promotes that version."""
    reviewed, other = registry.versions.add(), registry.versions.add(WORSE)
    refused = registry.set_alias(other, str(reviewed), actor="mallory")
    assert (refused.status_code, "version's number" in refused.text) == (400, True)
    client = RegistryClient(registry.uri, model=registry.versions.model)
    assert (
        client.promote(str(reviewed), Caller("zoe", reason="I reviewed it", override=True)).champion
        == reviewed
    )


@pytest.mark.parametrize("alias", ["Champion", "champion\n", "champi\u043en", "\uff43hampion", "Previous"])
@pytest.mark.hostile(39)
def test_look_alike_of_a_reserved_alias_is_refused(registry: Attacked, alias: str) -> None:
    """No list of aliases shows two that read the same."""
    answer = registry.set_alias(registry.versions.add(), alias)
    assert (answer.status_code, "reserved alias" in answer.text, registry.aliases()) == (400, True, {})


@pytest.mark.parametrize("number", ["99999999999999999999", "-99999999999999999999", "0", "2147483648"])
@pytest.mark.hostile(39)
def test_version_number_out_of_range_is_a_clear_error(registry: Attacked, number: str) -> None:
    """On every route that takes one."""
    assert 400 <= registry.set_alias(number, actor="zoe").status_code < 500
    assert 400 <= registry.set_alias(number, "candidate").status_code < 500
    with pytest.raises(MlflowException) as error:
        registry.versions.client.get_model_version(registry.versions.model, number)
    assert error.value.get_http_status_code() < 500


@pytest.mark.hostile(11)
def test_rollback_does_not_launder_an_override(registry: Attacked) -> None:
    """A version that the gate refused needs an override each time that it becomes champion."""
    good, bad = registry.versions.add(), registry.versions.add(WORSE)
    registry.set_alias(good, actor="zoe")
    assert registry.set_alias(bad, **OVERRIDE).status_code == 200
    assert registry.set_alias(good, actor="zoe").status_code == 200, "a rollback to accepted content"
    again = registry.set_alias(bad, actor="mallory")
    assert (again.status_code, "below its floor" in again.text) == (400, True)
    assert registry.set_alias(bad, **OVERRIDE).status_code == 200
    assert registry.last_entry().outcome is Outcome.OVERRIDDEN


def test_rollback_needs_a_person(registry: Attacked) -> None:
    """The ledger records who decided that the present champion is bad."""
    first, second = registry.versions.add(), registry.versions.add()
    for number in (first, second):
        assert registry.set_alias(number).status_code == 200
    refused = registry.set_alias(first)
    assert (refused.status_code, "needs the name of a person" in refused.text) == (400, True)
    assert registry.set_alias(first, actor="zoe").status_code == 200
    entry = registry.last_entry()
    assert (entry.alias, entry.after, entry.actor) == (CHAMPION, first, "zoe")

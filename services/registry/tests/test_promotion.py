import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient

from toxic_core.contract import CONTRACT_FILE, TOKENIZER_FILE, WARMUP_FILE, read_contract, seal
from toxic_core.contract.evidence import EVALUATION_FILE
from toxic_core.signing import verify
from toxic_testing.registry import Receiver, Versions

pytestmark = pytest.mark.slow

Rows = Callable[[], list[dict[str, object]]]
Run = Callable[..., tuple[int, str, str]]

API = "/api/2.0/mlflow/registered-models"
UI_API = "/ajax-api/2.0/mlflow/registered-models"
TIMEOUT = 30
# MLflow's client waits for seconds between retries, so a retried refusal would exceed this.
AT_ONCE_SECONDS = 5


def without_evaluation(folder: Path) -> None:
    """Seal the bundle without its evaluation."""
    (folder / EVALUATION_FILE).unlink()
    seal(folder, read_contract(folder))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed file": (lambda f: (f / TOKENIZER_FILE).write_text("[]"), "SHA-256"),
    "missing file": (lambda f: (f / WARMUP_FILE).unlink(), "missing"),
    "further file": (lambda f: (f / "extra.bin").write_bytes(b"x"), "doesn't list"),
    "no contract": (lambda f: (f / CONTRACT_FILE).unlink(), "contract.json"),
    "changed evaluation": (lambda f: (f / EVALUATION_FILE).write_text('{"test.toxic.en.auc": 1}'), "SHA-256"),
    "no evaluation": (without_evaluation, "evaluation"),
}


def test_first_champion_is_accepted(versions: Versions, ledger: Rows) -> None:
    """A complete version above the floors becomes champion, and the ledger has the caller's name."""
    number = versions.add()
    versions.set_champion(number)
    assert versions.aliases() == {"champion": number}
    (row,) = ledger()
    assert (row["alias"], row["from"], row["to"], row["outcome"]) == ("champion", None, number, "accepted")
    assert row["actor"] == "anonymous@127.0.0.1"
    assert len(str(row["evidence_digest"])) == 64


def test_promotion_moves_previous_to_the_old_champion(versions: Versions, ledger: Rows) -> None:
    """A rollback stays possible, and the promotion's own entry is the last."""
    first, second = versions.add(), versions.add()
    versions.set_champion(first)
    versions.set_champion(second)
    assert versions.aliases() == {"champion": second, "previous": first}
    assert [(row["alias"], row["to"]) for row in ledger()] == [
        ("champion", first), ("previous", first), ("champion", second)
    ]  # fmt: skip


def test_a_canary_passes_the_gate_and_ends_by_its_promotion(versions: Versions, ledger: Rows) -> None:
    """The champion stays until then; a version that the gate refuses gets no caller."""
    first, second = versions.add(), versions.add()
    versions.set_champion(first)
    damaged = versions.add(damage=without_evaluation)
    with pytest.raises(RestException, match=r"refuses version 3 of .* as canary"):
        versions.client.set_registered_model_alias(versions.model, "canary", str(damaged))
    versions.client.set_model_version_tag(versions.model, str(second), "promotion.refused", "too early")
    versions.client.set_registered_model_alias(versions.model, "canary", str(second))
    assert versions.aliases() == {"champion": first, "canary": second}
    assert "promotion.refused" not in versions.client.get_model_version(versions.model, str(second)).tags
    versions.set_champion(second)
    assert versions.aliases() == {"champion": second, "previous": first}
    assert [(row["alias"], row["to"], row["outcome"]) for row in ledger()][1:] == [
        ("canary", damaged, "refused"),
        ("canary", second, "accepted"),
        ("canary", None, "accepted"),
        ("previous", first, "accepted"),
        ("champion", second, "accepted"),
    ]
    assert len(str(ledger()[2]["evidence_digest"])) == 64, "services serve approved content only"


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_version_is_refused(versions: Versions, ledger: Rows, kind: str) -> None:
    """A version that changed after it was sealed can't become champion."""
    damage, told = DAMAGE[kind]
    number = versions.add(damage=damage)
    with pytest.raises(RestException, match=told) as refusal:
        versions.set_champion(number)
    assert refusal.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "toxic-gate-" not in str(refusal.value), "the message has the server's temporary folder"
    assert versions.aliases() == {}
    (row,) = ledger()
    assert (row["outcome"], row["to"]) == ("refused", number)
    assert told in str(row["reason"])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"test.toxic.en.auc": 0.9}, "test.toxic.en.auc is 0.9000, below its floor of 0.95"),
        ({"test.toxic.tr.auc": None}, "test.toxic.tr.auc is missing"),
        ({"test.toxic.en.ece": 0.2}, "above its ceiling"),
        ({"test.toxic.all.auc": 0.95}, "worse by more than the margin of 0.005"),
        ({"test.toxic.all.rows": 999.0}, "another test set"),
    ],
)
def test_version_that_is_not_good_enough_is_refused(
    versions: Versions, changed: dict[str, float | None], told: str
) -> None:
    """The caller gets the reasons at once, the version keeps them as a tag, and no alias moves."""
    champion, number = versions.add(), versions.add(changed)
    versions.set_champion(champion)
    started = time.monotonic()
    with pytest.raises(RestException, match=told):
        versions.set_champion(number)
    assert time.monotonic() - started < AT_ONCE_SECONDS
    assert versions.aliases() == {"champion": champion}
    tags = versions.client.get_model_version(versions.model, str(number)).tags
    assert told in tags["promotion.refused"]


def test_version_without_files_is_refused(versions: Versions) -> None:
    """A registered version needs a bundle."""
    run = versions.client.create_run("0")
    number = versions.register(f"{run.info.artifact_uri}/model", run.info.run_id)
    with pytest.raises(RestException, match="no files at artifacts/bundle"):
        versions.set_champion(number)


def test_rollback_ignores_the_comparison(versions: Versions, run: Run) -> None:
    """The previous champion can return even if its figures are worse."""
    first = versions.add({"test.toxic.all.auc": 0.955})
    second = versions.add({"test.toxic.all.auc": 0.99})
    versions.set_champion(first)
    versions.set_champion(second)
    assert run("rollback")[0] == 0
    assert versions.aliases() == {"champion": first, "previous": second}


@pytest.mark.parametrize("prefix", [API, UI_API])
def test_alias_request_of_the_page_passes_the_gate(
    versions: Versions, registry_uri: str, prefix: str
) -> None:
    """MLflow's page gets the reasons of a refusal, and an accepted version becomes champion."""
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})

    def post(number: int) -> requests.Response:
        body = {"name": versions.model, "alias": "champion", "version": str(number)}
        headers = {"Origin": registry_uri, "X-Requested-With": "XMLHttpRequest"}
        return requests.post(f"{registry_uri}{prefix}/alias", json=body, headers=headers, timeout=TIMEOUT)

    refused = post(bad)
    assert refused.status_code == 400
    assert refused.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "test.toxic.es.auc is 0.5000" in refused.json()["message"]
    assert versions.aliases() == {}
    assert post(good).status_code == 200
    assert versions.aliases() == {"champion": good}


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (f"{API}/alias/", "POST"),
        (f"/{API}/alias", "POST"),
        (f"{API.upper()}/alias", "POST"),
        (f"{API}/alias", "PUT"),
        (f"{API}/alias?_method=POST", "GET"),
        ("/api/2.0/preview/mlflow/registered-models/alias", "POST"),
        ("/api/3.0/mlflow/registered-models/alias", "POST"),
        ("/graphql", "POST"),
    ],
)
def test_no_other_route_bypasses_the_gate(
    versions: Versions, registry_uri: str, path: str, method: str
) -> None:
    """Other spellings of the request are unknown routes or reach the same check."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    body = {"name": versions.model, "alias": "champion", "version": str(bad)}
    answer = requests.request(
        method, registry_uri + path, json=body, timeout=TIMEOUT,
        headers={"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"},
    )  # fmt: skip
    assert 400 <= answer.status_code < 500 or path == "/graphql" or method == "GET"
    assert versions.aliases() == {}


def test_command_line_passes_the_gate(versions: Versions, run: Run) -> None:
    """The command fails with one line that has the reason."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    status, output, error = run("promote", str(bad))
    assert (status, output, error.count("\n")) == (1, "", 1)
    assert "below its floor" in error


def test_override_is_recorded_with_its_actor_and_reasons(versions: Versions, run: Run, ledger: Rows) -> None:
    """A named person can override the gate; the ledger records who, why and against which reasons."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    assert run("promote", str(bad), "--actor", "Zoë", "--override", "Spanish is off anyway – for now")[0] == 0
    assert versions.aliases() == {"champion": bad}
    (row,) = ledger()
    assert (row["outcome"], row["actor"]) == ("overridden", "Zoë")
    assert str(row["reason"]).startswith("Spanish is off anyway – for now (against: test.toxic.es.auc")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Registry-Override": "true"},
        {"X-Registry-Override": "true", "X-Registry-Actor": "zoe"},
        {"X-Registry-Override": "true", "X-Registry-Reason": "because"},
        {"X-Registry-Actor": "zoe", "X-Registry-Reason": "because"},
    ],
)
def test_override_needs_a_name_and_a_reason(
    versions: Versions, registry_uri: str, headers: dict[str, str]
) -> None:
    """An incomplete override is a refused promotion."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    body = {"name": versions.model, "alias": "champion", "version": str(bad)}
    answer = requests.post(f"{registry_uri}{API}/alias", json=body, headers=headers, timeout=TIMEOUT)
    assert answer.status_code == 400
    assert versions.aliases() == {}


def test_champion_can_be_neither_deleted_nor_renamed(
    versions: Versions, client: MlflowClient, ledger: Rows
) -> None:
    """Each attempt is refused and recorded."""
    number = versions.add()
    versions.set_champion(number)
    name = versions.model
    attempts: list[Callable[[], object]] = [
        lambda: client.delete_registered_model_alias(name, "champion"),
        lambda: client.delete_model_version(name, str(number)),
        lambda: client.delete_registered_model(name),
        lambda: client.rename_registered_model(name, f"{name}-other"),
    ]
    for attempt in attempts:
        with pytest.raises(RestException, match=r"is champion of .*Make another version champion first"):
            attempt()
    assert versions.aliases() == {"champion": number}
    assert client.get_model_version(name, str(number)).status == "READY"
    assert [row["outcome"] for row in ledger()] == ["accepted", *["refused"] * 4]


def test_previous_cannot_be_set_directly(versions: Versions, client: MlflowClient) -> None:
    """A return of `previous` skips the comparison, so only a promotion moves it."""
    first, second, bad = versions.add(), versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    versions.set_champion(first)
    versions.set_champion(second)
    with pytest.raises(RestException, match="moves with champion"):
        client.set_registered_model_alias(versions.model, "previous", str(bad))
    with pytest.raises(RestException, match="moves with champion"):
        client.delete_registered_model_alias(versions.model, "previous")
    assert versions.aliases() == {"champion": second, "previous": first}


def test_other_aliases_move_freely_and_are_recorded(
    versions: Versions, client: MlflowClient, ledger: Rows
) -> None:
    """Training sets its challenger without the gate; deleting a version deletes its aliases."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    client.set_registered_model_alias(versions.model, "challenger", str(bad))
    client.set_registered_model_alias(versions.model, "challenger", str(bad))
    client.delete_model_version(versions.model, str(bad))
    assert [(row["from"], row["to"]) for row in ledger()] == [(None, bad), (bad, None)]


def test_a_challenger_s_description_begins_with_the_gate_s_forecast(
    versions: Versions, client: MlflowClient
) -> None:
    """Its first line, which a later judgement replaces, has the reasons of a refusal; the rest stays."""
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    for number, begin in (
        (good, "**The gate would accept this version** (compared with no champion)."),
        (bad, ""),
    ):
        client.update_model_version(versions.model, str(number), "# The card")
        client.set_registered_model_alias(versions.model, "challenger", str(number))
        client.set_registered_model_alias(versions.model, "challenger", str(number))
        description = client.get_model_version(versions.model, str(number)).description or ""
        first, *rest = description.split("\n")
        assert first == begin or (
            first.startswith("**The gate would refuse this version**") and "test.toxic.es.auc" in first
        )
        assert rest == ["", "# The card"]


def test_model_without_champion_may_be_renamed_and_deleted(
    versions: Versions, client: MlflowClient, ledger: Rows
) -> None:
    """Only a champion protects its model."""
    number = versions.add()
    client.set_registered_model_alias(versions.model, "challenger", str(number))
    client.rename_registered_model(versions.model, f"{versions.model}-other")
    client.rename_registered_model(f"{versions.model}-other", versions.model)
    client.delete_registered_model(versions.model)
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model(versions.model)
    assert [row["to"] for row in ledger()] == [number, None, number, None]


def test_absent_version_is_not_found(versions: Versions, ledger: Rows) -> None:
    """A promotion of an unknown version is MLflow's error, without an entry."""
    with pytest.raises(RestException, match="not found"):
        versions.set_champion(99)
    assert ledger() == []


def test_receiver_gets_a_signed_message_within_two_seconds(versions: Versions, receiver: Receiver) -> None:
    """An inference service learns of a new champion before its next poll."""
    number = versions.add()
    versions.set_champion(number)
    promoted = time.time()
    delivery = receiver.wait_for(versions.model, str(number))
    assert delivery.at - promoted < 2
    assert verify(delivery.headers, delivery.body, secret="the test's own", now=time.time())

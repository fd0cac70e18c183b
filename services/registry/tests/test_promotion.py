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

Rows = Callable[[], list[dict[str, object]]]
Run = Callable[..., tuple[int, str, str]]

API = "/api/2.0/mlflow/registered-models"
UI_API = "/ajax-api/2.0/mlflow/registered-models"
TIMEOUT = 30
# A bare status would look the same from a retrying client; MLflow's waits seconds between tries.
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
    """A complete version above the floors becomes champion, and the ledger says who asked."""
    number = versions.add()
    versions.set_champion(number)
    assert versions.aliases() == {"champion": number}
    (row,) = ledger()
    assert (row["alias"], row["from"], row["to"], row["outcome"]) == ("champion", None, number, "accepted")
    assert row["actor"] == "anonymous@127.0.0.1"
    assert len(str(row["evidence_digest"])) == 64


def test_champion_takes_previous_along(versions: Versions, ledger: Rows) -> None:
    """The old champion stays within reach, and the promotion's own row is the last."""
    first, second = versions.add(), versions.add()
    versions.set_champion(first)
    versions.set_champion(second)
    assert versions.aliases() == {"champion": second, "previous": first}
    assert [(row["alias"], row["to"]) for row in ledger()] == [
        ("champion", first), ("previous", first), ("champion", second)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_version_is_refused(versions: Versions, ledger: Rows, kind: str) -> None:
    """Whatever was done to the files after they were sealed, the version isn't served."""
    damage, told = DAMAGE[kind]
    number = versions.add(damage=damage)
    with pytest.raises(RestException, match=told) as refusal:
        versions.set_champion(number)
    assert refusal.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "toxic-gate-" not in str(refusal.value), "the server's own folders are nobody's business"
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
    """The reasons reach the caller at once and stay on the version; both aliases are as they were."""
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
    """A registered name with nothing behind it is no model."""
    run = versions.client.create_run("0")
    number = versions.register(f"{run.info.artifact_uri}/model", run.info.run_id)
    with pytest.raises(RestException, match="no files at artifacts/bundle"):
        versions.set_champion(number)


def test_damage_after_a_promotion_is_found_at_the_next(versions: Versions, tmp_path: Path) -> None:
    """Evidence isn't remembered: a version that once passed is read again, also on the way back."""
    first, second = versions.add(), versions.add()
    versions.set_champion(first)
    versions.set_champion(second)
    run_id = versions.client.get_model_version(versions.model, str(first)).run_id
    (tmp_path / "tokenizer.json").write_text("[]")
    versions.client.log_artifact(run_id, str(tmp_path / "tokenizer.json"), "model/artifacts/bundle/tokenizer")
    with pytest.raises(RestException, match="SHA-256"):
        versions.set_champion(first)
    assert versions.aliases() == {"champion": second, "previous": first}


def test_way_back_ignores_the_comparison(versions: Versions) -> None:
    """The champion before may be worse on paper; whoever rolls back knows why."""
    first = versions.add({"test.toxic.all.auc": 0.955})
    second = versions.add({"test.toxic.all.auc": 0.99})
    versions.set_champion(first)
    versions.set_champion(second)
    versions.set_champion(first)
    assert versions.aliases() == {"champion": first, "previous": second}


@pytest.mark.parametrize("prefix", [API, UI_API])
def test_alias_request_of_the_page_passes_the_gate(
    versions: Versions, registry_uri: str, prefix: str
) -> None:
    """What the browser posts is refused with the reasons, and accepted where there are none."""
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
def test_no_other_address_leads_around_the_gate(
    versions: Versions, registry_uri: str, path: str, method: str
) -> None:
    """However the same request is spelt, it is either no route or the same check."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    body = {"name": versions.model, "alias": "champion", "version": str(bad)}
    answer = requests.request(
        method, registry_uri + path, json=body, timeout=TIMEOUT,
        headers={"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"},
    )  # fmt: skip
    assert 400 <= answer.status_code < 500 or path == "/graphql" or method == "GET"
    assert versions.aliases() == {}


def test_command_line_passes_the_gate(versions: Versions, run: Run) -> None:
    """The command fails in one line that holds the reason."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    status, output, error = run("promote", str(bad))
    assert (status, output, error.count("\n")) == (1, "", 1)
    assert "below its floor" in error


def test_override_names_a_person_and_is_a_row(versions: Versions, run: Run, ledger: Rows) -> None:
    """Someone may take the promotion on themselves, and the ledger keeps who, why and against what."""
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
def test_override_without_a_name_or_a_reason_is_none(
    versions: Versions, registry_uri: str, headers: dict[str, str]
) -> None:
    """Nobody passes the gate namelessly, without a reason, or without saying so."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    body = {"name": versions.model, "alias": "champion", "version": str(bad)}
    answer = requests.post(f"{registry_uri}{API}/alias", json=body, headers=headers, timeout=TIMEOUT)
    assert answer.status_code == 400
    assert versions.aliases() == {}


def test_champion_can_be_neither_deleted_nor_renamed(
    versions: Versions, client: MlflowClient, ledger: Rows
) -> None:
    """What is served stays until another takes its place; each attempt is a row."""
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


def test_previous_is_not_set_by_hand(versions: Versions, client: MlflowClient) -> None:
    """It opens the way past the comparison, so only a promotion moves it."""
    first, second, bad = versions.add(), versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    versions.set_champion(first)
    versions.set_champion(second)
    with pytest.raises(RestException, match="moves with champion"):
        client.set_registered_model_alias(versions.model, "previous", str(bad))
    with pytest.raises(RestException, match="moves with champion"):
        client.delete_registered_model_alias(versions.model, "previous")
    assert versions.aliases() == {"champion": second, "previous": first}


def test_other_aliases_move_freely_and_are_written_down(
    versions: Versions, client: MlflowClient, ledger: Rows
) -> None:
    """Training sets its challenger whatever it is worth; deleting its version takes the alias along."""
    bad = versions.add({"test.toxic.es.auc": 0.5})
    client.set_registered_model_alias(versions.model, "challenger", str(bad))
    client.set_registered_model_alias(versions.model, "challenger", str(bad))
    client.delete_model_version(versions.model, str(bad))
    assert [(row["from"], row["to"]) for row in ledger()] == [(None, bad), (bad, None)]


def test_model_without_champion_may_be_renamed_and_deleted(
    versions: Versions, client: MlflowClient, ledger: Rows
) -> None:
    """The guard is about what is served, not about housekeeping."""
    number = versions.add()
    client.set_registered_model_alias(versions.model, "challenger", str(number))
    client.rename_registered_model(versions.model, f"{versions.model}-other")
    client.rename_registered_model(f"{versions.model}-other", versions.model)
    client.delete_registered_model(versions.model)
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model(versions.model)
    assert [row["to"] for row in ledger()] == [number, None, number, None]


def test_absent_version_is_not_found(versions: Versions, ledger: Rows) -> None:
    """A number that doesn't exist is MLflow's own error and no change."""
    with pytest.raises(RestException, match="not found"):
        versions.set_champion(99)
    assert ledger() == []


def test_change_reaches_receivers_signed_and_within_two_seconds(
    versions: Versions, receiver: Receiver
) -> None:
    """An inference service hears of a new champion before it would next ask."""
    number = versions.add()
    versions.set_champion(number)
    promoted = time.time()
    delivery = receiver.wait_for(versions.model, str(number))
    assert delivery.at - promoted < 2
    assert verify(delivery.headers, delivery.body, secret="the test's own", now=time.time())

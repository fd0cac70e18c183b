"""The content that the gate approved is the content that is served."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from toxic_core.contract import CONTRACT_FILE, WARMUP_FILE, file_digest, read_contract, seal
from toxic_core.errors import ContractError, NotApprovedError
from toxic_inference.adapters.bundle_cache import BundleCache
from toxic_inference.adapters.mlflow_source import MlflowRegistry
from toxic_inference.serving.interfaces import ServableId
from toxic_model.registered import Registry
from toxic_testing.registry import Attacked

pytestmark = pytest.mark.timeout(600)


def another_contract(folder: Path) -> bytes:
    """Return a contract of the same files that hides every insult."""
    contract = json.loads((folder / CONTRACT_FILE).read_bytes())
    for languages in contract["calibration"].values():
        for calibration in languages.values():
            calibration["intercept"] = -30.0
    return json.dumps(contract).encode()


@pytest.mark.hostile(2)
def test_files_of_a_registered_version_cannot_change(registry: Attacked) -> None:
    """Neither replaced nor deleted nor added, by no route of the artifact proxy."""
    number = registry.versions.add()
    path, folder = registry.artifacts(number), registry.folder(number)
    before = {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    evil = another_contract(folder)
    multipart = path.replace("/artifacts/", "/mpu/create/", 1)
    attempts: list[tuple[str, str, dict[str, object]]] = [
        ("PUT", f"{path}/{CONTRACT_FILE}", {"data": evil}),
        ("PUT", f"/ajax-api{path.removeprefix('/api')}/{CONTRACT_FILE}", {"data": evil}),
        ("PUT", f"{path}/./{CONTRACT_FILE}", {"data": evil}),
        ("PUT", f"{path}/more.bin", {"data": b"x"}),
        ("DELETE", f"{path}/saved_model", {}),
        ("DELETE", path, {}),
        ("DELETE", path.rpartition("/artifacts/bundle")[0], {}),
        ("DELETE", path.rpartition("/model/artifacts/bundle")[0], {}),
        ("POST", f"{multipart}/{CONTRACT_FILE}", {"json": {"path": CONTRACT_FILE, "num_parts": 1}}),
    ]
    for method, route, arguments in attempts:
        answer = registry.request(method, route, **arguments)
        assert 400 <= answer.status_code < 502, (method, route, answer.status_code)
    answer = registry.request("PUT", f"{path}/{CONTRACT_FILE}", data=evil)
    assert (answer.status_code, "registered version" in answer.text) == (400, True)
    after = {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert after == before


def test_ledger_has_the_digest_of_every_alias(registry: Attacked) -> None:
    """Readers of an alias can compare what they downloaded."""
    first, second = registry.versions.add(), registry.versions.add()
    digests = {number: file_digest(registry.folder(number) / CONTRACT_FILE) for number in (first, second)}
    registry.set_alias(first, actor="zoe")
    registry.set_alias(second, "challenger", actor="zoe")
    assert registry.approved("challenger")["digest"] == digests[second]
    registry.set_alias(second, actor="zoe")
    assert (registry.approved()["version"], registry.approved()["digest"]) == (second, digests[second])
    assert registry.approved("previous") == {
        "alias": "previous", "version": first, "digest": digests[first], "outcome": "accepted",
    }  # fmt: skip


@pytest.mark.hostile(2)
def test_batch_scoring_refuses_content_that_was_swapped(registry: Attacked, tmp_path: Path) -> None:
    """`toxic-batch`, `make score` and `toxic-registry evaluate` fetch versions by this."""
    number = registry.versions.add()
    registry.set_alias(number, actor="zoe")
    found = Registry(registry.uri, registry.versions.model)
    assert found.fetch("champion", tmp_path / "fetched").version == str(number)
    folder = registry.folder(number)
    contract = read_contract(folder)
    seal(folder, contract.model_copy(update={"thresholds": {name: {"*": 0.9} for name in contract.labels}}))
    with pytest.raises(ContractError, match="were replaced"):
        found.fetch(str(number), tmp_path / "fetched")


def test_content_swapped_in_the_store_cannot_return(registry: Attacked) -> None:
    """An attacker with the store's disk replaces the previous champion; the rollback judges it anew."""
    first, second = registry.versions.add(), registry.versions.add()
    assert registry.set_alias(first, actor="zoe").status_code == 200
    assert registry.set_alias(second, actor="zoe").status_code == 200
    folder = registry.folder(first)
    (folder / "evaluation.json").write_text('{"test.toxic.en.auc": 0.2}')
    seal(folder, read_contract(folder))
    refused = registry.set_alias(first, actor="zoe")
    assert (refused.status_code, "below its floor" in refused.text) == (400, True)
    assert registry.aliases()["champion"] == second


def test_champion_with_other_files_is_not_compared_with(registry: Attacked) -> None:
    """Lowering the champion's figures in the store doesn't help a worse successor."""
    champion, worse = registry.versions.add(), registry.versions.add({"test.toxic.es.auc": 0.88})
    registry.set_alias(champion, actor="zoe")
    folder = registry.folder(champion)
    figures = json.loads((folder / "evaluation.json").read_bytes())
    (folder / "evaluation.json").write_text(json.dumps(figures | {"test.toxic.es.auc": 0.88}))
    seal(folder, read_contract(folder))
    refused = registry.set_alias(worse, actor="zoe")
    assert (refused.status_code, "that the ledger records" in refused.text) == (400, True)


@pytest.mark.hostile(32)
def test_unverifiable_files_cannot_be_overridden(registry: Attacked) -> None:
    """An override is a decision about figures; no one can vouch for files that differ from their digests."""
    damaged = registry.versions.add(damage=lambda folder: (folder / WARMUP_FILE).write_text("{}"))
    run = registry.versions.client.create_run("0")
    empty = registry.versions.register(f"{run.info.artifact_uri}/model", run.info.run_id)
    for number in (damaged, empty):
        answer = registry.set_alias(number, actor="zoe", reason="I looked at it", override="true")
        assert (answer.status_code, registry.aliases()) == (400, {})


def test_champion_moved_in_the_database_is_not_approved(registry: Attacked) -> None:
    """Inference reads the ledger, not MLflow's table of aliases."""
    champion, other = registry.versions.add(), registry.versions.add()
    registry.set_alias(champion, actor="zoe")
    with closing(sqlite3.connect(registry.state / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE registered_model_aliases SET version = ? WHERE name = ?", (other, registry.versions.model)
        )
    assert registry.aliases() == {"champion": other}
    assert registry.approved()["version"] == champion


def source_of(registry: Attacked) -> MlflowRegistry:
    """Return what inference polls and downloads from."""
    return MlflowRegistry(
        registry.uri,
        model_name=registry.versions.model,
        aliases=("champion", "challenger"),
        max_bytes=10**9,
        require_approval=True,
    )


def cache_of(source: MlflowRegistry, folder: Path) -> BundleCache:
    """Return an empty cache in front of a registry."""
    return BundleCache(folder, size_limit_bytes=10**9, max_bundle_bytes=10**9, download=source.download)


@pytest.mark.parametrize("moment", ["before the poll", "before the download", "during the download"])
@pytest.mark.hostile(2)
def test_replaced_content_is_not_served(registry: Attacked, tmp_path: Path, moment: str) -> None:
    """Whenever the champion's files are replaced in the store, a service with an empty cache refuses them."""
    number = registry.versions.add()
    registry.set_alias(number, actor="zoe")
    folder = registry.folder(number)
    evil = another_contract(folder)
    source = source_of(registry)
    if moment == "before the poll":
        (folder / CONTRACT_FILE).write_bytes(evil)
    (champion,) = source.aspired()
    if moment == "before the download":
        (folder / CONTRACT_FILE).write_bytes(evil)
    cache = cache_of(source, tmp_path / "cache")
    if moment == "during the download":
        original = source.download

        def download(servable_id: ServableId, into: Path) -> Path:
            (folder / CONTRACT_FILE).write_bytes(evil)
            return original(servable_id, into)

        cache.download = download
    with pytest.raises(NotApprovedError, match="ledger"):
        cache.checkout(champion.id)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == []


def test_approved_content_is_served(registry: Attacked, tmp_path: Path) -> None:
    """A champion, a challenger, and a version that was pinned, each by the ledger's digest."""
    first, second, third = (registry.versions.add() for _ in range(3))
    registry.set_alias(first, actor="zoe")
    registry.set_alias(second, actor="zoe")
    registry.set_alias(third, "challenger", actor="zoe")
    source = source_of(registry)
    source.pinned = (str(first),)
    aspired = source.aspired()
    assert [(each.id.version, each.id.approved) for each in aspired] == [
        (str(second), True), (str(third), True), (str(first), True)
    ]  # fmt: skip
    cache = cache_of(source, tmp_path / "cache")
    for each in aspired:
        assert file_digest(cache.checkout(each.id).path / CONTRACT_FILE) == each.id.digest


@pytest.mark.hostile(26)
def test_flood_of_promotions_leaves_threads_for_readers(registry: Attacked) -> None:
    """Few wait for the gate, others are asked to try again, and readers are answered meanwhile."""
    bad = registry.versions.add({"test.toxic.es.auc": 0.5})
    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(registry.set_alias, bad, actor=f"flood-{number}") for number in range(30)]
        reads = [registry.request("GET", "/ledger").status_code for _ in range(3)]
        statuses = {each.result().status_code for each in asked}
    assert reads == [200] * 3
    assert statuses == {400, 429}

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from werkzeug.security import check_password_hash

from toxic_registry.cli import main
from toxic_testing.ports import free_port
from toxic_testing.registry import Versions

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


def test_promote_moves_the_champion(run: Run, versions: Versions) -> None:
    """`promote` accepts a number or an alias, and prints what changed."""
    first, second = versions.add(), versions.add()
    versions.client.set_registered_model_alias(versions.model, "challenger", str(second))
    assert run("promote", str(first)) == (0, f"champion: none -> {first}\n", "")
    status, output, _ = run("promote", "challenger")
    assert status == 0
    assert f"champion: {first} -> {second}\nprevious: {first}" in output
    assert versions.aliases() == {"champion": second, "challenger": second, "previous": first}


def test_promoting_the_champion_changes_nothing(run: Run, versions: Versions) -> None:
    """Promoting the present champion succeeds."""
    number = versions.add()
    run("promote", str(number))
    status, output, _ = run("promote", str(number))
    assert status == 0
    assert "is champion" in output
    assert versions.aliases() == {"champion": number}


def test_rollback_returns_to_the_previous_champion(run: Run, versions: Versions) -> None:
    """One command undoes a promotion, and a second call undoes the first."""
    first, second = versions.add(), versions.add()
    run("promote", str(first))
    run("promote", str(second))
    status, output, _ = run("rollback", "--reason", "complaints")
    assert status == 0
    assert f"champion: {second} -> {first}" in output
    assert versions.aliases() == {"champion": first, "previous": second}
    assert run("rollback")[0] == 0
    assert versions.aliases() == {"champion": second, "previous": first}


def test_only_the_shipped_model_is_adopted(run: Run, versions: Versions) -> None:
    """Another version is refused, although the gate would accept it."""
    number = versions.add()
    versions.client.set_registered_model_alias(versions.model, "challenger", str(number))
    status, _, error = run("adopt-baseline")
    assert status == 1
    assert "isn't that of the model that ships with this release" in error
    assert run("promote", "challenger")[0] == 0


def test_adopted_model_names_that_in_the_ledger(
    run: Run, versions: Versions, ledger: Callable[[], list[dict[str, object]]]
) -> None:
    """With the reason that its operator gave."""
    shipped = (Path(__file__).parents[3] / "models" / "baseline" / "evaluation.json").read_text()
    number = versions.add(json.loads(shipped))
    old = versions.add({"test.toxic.all.rows": 900.0, "length.toxic.auc": 0.9, "serving.size_mb": 100.0})
    assert run("promote", str(old))[0] == 0
    assert run("promote", str(number))[0] == 1
    status, _, error = run("adopt-baseline", str(number), "--reason", "the new release")
    assert (status, error) == (0, "")
    assert ledger()[-1]["reason"] == "the new release (the shipped model, compared per source)"
    assert versions.aliases()["previous"] == old


def test_the_previous_champion_is_no_exception_from_adoption(run: Run, versions: Versions) -> None:
    """A rollback under the name of an adoption would be recorded as what it isn't."""
    first, second = versions.add(), versions.add()
    assert run("promote", str(first))[0] == run("promote", str(second))[0] == 0
    status, _, error = run("adopt-baseline", "previous")
    assert (status, "isn't that of the model that ships with this release" in error) == (1, True)
    assert versions.aliases() == {"champion": second, "previous": first}


def test_evaluation_needs_a_table(run: Run) -> None:
    """The message names the setting."""
    status, _, error = run("evaluate", "1")
    assert (status, "REGISTRY_TEST_TABLE" in error) == (1, True)


def test_reason_tag_belongs_to_one_promotion(run: Run, versions: Versions) -> None:
    """A later promotion without a reason removes the earlier reason."""
    first, second = versions.add(), versions.add()

    def tags() -> dict[str, str]:
        return dict(versions.client.get_model_version(versions.model, str(first)).tags)

    run("promote", str(first), "--reason", "the first one")
    assert tags()["promotion.reason"] == "the first one"
    run("promote", str(second))
    run("promote", str(first))
    assert "promotion.reason" not in tags()


def test_unknown_version_is_a_one_line_error(run: Run, versions: Versions) -> None:
    """The message lists the known versions."""
    number = versions.add()
    status, output, error = run("promote", "99")
    assert (status, output) == (1, "")
    assert error.count("\n") == 1
    assert f"versions: {number};" in error


def test_empty_registry_has_an_empty_report(run: Run, model: str) -> None:
    """Commands work before the first training run; promotions fail."""
    assert run("history") == (0, "No alias has moved yet.\n", "")
    assert run("versions")[:2] == (0, f"{model} has no version yet.\n")
    assert run("champion-at", "2026-11-23T10:00Z") == (0, "none\n", "")
    assert run("show")[0] == 0
    assert run("promote", "1")[0] == 1
    status, _, error = run("rollback")
    assert (status, "no previous champion" in error) == (1, True)


def test_history_lists_every_change_with_its_actor(run: Run, versions: Versions) -> None:
    """The newest comes first; a refused promotion has all of its reasons."""
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    run("promote", str(good), "--actor", "zoe", "--reason", "a line\nand another")
    run("promote", str(bad), "--actor", "max")
    _, output, _ = run("history")
    header, refused, accepted = output.splitlines()
    assert header.split() == ["TIME", "(UTC)", "ALIAS", "FROM", "TO", "OUTCOME", "ACTOR", "REASON"]
    assert accepted.split()[2:7] == ["champion", "-", str(good), "accepted", "zoe"]
    assert accepted.endswith("a line and another")
    assert refused.split()[2:7] == ["champion", str(good), str(bad), "refused", "max"]
    assert "test.toxic.es.auc is 0.5000, below its floor of 0.87; " in refused
    assert refused.endswith("worse by more than the margin of 0.02.")


def test_champion_at_prints_the_champion_of_any_time(run: Run, versions: Versions) -> None:
    """The time can have any ISO 8601 form."""
    first, second = versions.add(), versions.add()
    run("promote", str(first))
    between = datetime.now(UTC)
    run("promote", str(second))
    assert run("champion-at", between.isoformat())[1] == f"{first}\n"
    assert run("champion-at", between.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))[1] == f"{first}\n"
    assert run("champion-at", "2020-01-01")[1] == "none\n"
    assert run("champion-at", "2999-01-01T00:00+02:00")[1] == f"{second}\n"


def test_a_canary_is_tried_out_and_withdrawn(run: Run, versions: Versions) -> None:
    """Each command prints what changed; without a canary there is nothing to withdraw."""
    first, second = versions.add(), versions.add()
    run("promote", str(first))
    assert run("canary", str(second))[1] == f"canary: {versions.model} version {second}\n"
    assert run("withdraw", "--reason", "slow")[1] == f"canary: {second} -> none\n"
    assert versions.aliases() == {"champion": first}
    status, _, error = run("withdraw")
    assert (status, error.count("\n")) == (1, 1)
    assert "no canary" in error


def test_invalid_time_is_a_one_line_error(run: Run) -> None:
    """The message has an example."""
    status, _, error = run("champion-at", "yesterday")
    assert (status, error.count("\n")) == (1, 1)
    assert "2026-11-23T10:00Z" in error


def test_verify_accepts_an_intact_ledger(run: Run, versions: Versions) -> None:
    """After accepted and refused changes the chain is whole and agrees with the aliases."""
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    run("promote", str(bad))
    run("promote", str(good))
    status, output, _ = run("verify")
    assert status == 0
    assert "The ledger is intact" in output


def test_versions_lists_the_newest_first(run: Run, versions: Versions) -> None:
    """Each row has the version, its aliases, the time of registration and key figures."""
    first = versions.add(tags={"encoder": "tiny"})
    second = versions.add(tags={"test.toxic.all.auc": "0.93"})
    run("promote", str(first), "--reason", "a line\nthat goes on and on, further than anyone would read")
    _, output, _ = run("versions")
    header, *rows = output.splitlines()
    assert header.startswith("VERSION  ALIASES   CREATED (UTC)        ENCODER  TOXIC AUC  REVISION  REASON")
    assert [row.split()[0] for row in rows] == [str(second), str(first)]
    assert rows[0].split()[-4:] == ["-", "0.93", "-", "-"]
    assert rows[1].split()[1] == "champion"
    assert rows[1].endswith("tiny     -          -         a line that goes on and on, further tha…")


def test_show_prints_the_version_of_each_alias(run: Run, versions: Versions) -> None:
    """An alias without a version is listed too."""
    number = versions.add(tags={"auc": "0.91"})
    run("promote", str(number))
    _, output, _ = run("show")
    assert f"champion: version {number}, registered " in output
    assert "  auc = 0.91\n" in output
    assert "previous: none\n" in output


def test_absent_registry_is_a_one_line_error(run: Run) -> None:
    """Within seconds, the message names the address and how to start a registry."""
    uri = f"http://127.0.0.1:{free_port()}"
    for command in ("history", "versions"):
        status, output, error = run(command, uri=uri)
        assert (status, output) == (1, "")
        assert error.count("\n") == 1
        assert uri in error
        assert "make serve" in error


def test_hashed_password_makes_a_line_of_the_users_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The line has a salted hash, not the password."""
    with pytest.raises(SystemExit):
        main(["hash-password", "zoe", "--password", "open sesame"])
    name, _, rest = capsys.readouterr().out.strip().partition(":")
    stored, _, role = rest.partition(" ")
    assert (name, role) == ("zoe", "promoter")
    assert check_password_hash(stored, "open sesame")

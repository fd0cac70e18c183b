from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from werkzeug.security import check_password_hash

from toxic_registry.client.cli import main
from toxic_testing.registry import Versions, free_port

Run = Callable[..., tuple[int, str, str]]


def test_promote_moves_the_champion(run: Run, versions: Versions) -> None:
    """An alias promotes as a number does, and the output says what changed."""
    first, second = versions.add(), versions.add()
    versions.client.set_registered_model_alias(versions.model, "challenger", str(second))
    assert run("promote", str(first)) == (0, f"champion: none -> {first}\n", "")
    status, output, _ = run("promote", "challenger")
    assert status == 0
    assert f"champion: {first} -> {second}\nprevious: {first}" in output
    assert versions.aliases() == {"champion": second, "challenger": second, "previous": first}


def test_promoting_the_champion_changes_nothing(run: Run, versions: Versions) -> None:
    """It isn't an error to ask for what is so."""
    number = versions.add()
    run("promote", str(number))
    status, output, _ = run("promote", str(number))
    assert status == 0
    assert "already champion" in output


def test_rollback_returns_to_the_previous_champion(run: Run, versions: Versions) -> None:
    """One command undoes a promotion."""
    first, second = versions.add(), versions.add()
    run("promote", str(first))
    run("promote", str(second))
    status, output, _ = run("rollback", "--reason", "complaints")
    assert status == 0
    assert f"champion: {second} -> {first}" in output
    assert versions.aliases() == {"champion": first, "previous": second}


def test_reason_goes_with_the_promotion_it_was_given_for(run: Run, versions: Versions) -> None:
    """A later promotion without a reason doesn't keep the earlier one's."""
    first, second = versions.add(), versions.add()

    def tags() -> dict[str, str]:
        return dict(versions.client.get_model_version(versions.model, str(first)).tags)

    run("promote", str(first), "--reason", "the first one")
    assert tags()["promotion.reason"] == "the first one"
    run("promote", str(second))
    run("promote", str(first))
    assert "promotion.reason" not in tags()


def test_unknown_version_is_one_clear_line(run: Run, versions: Versions) -> None:
    """The message names the versions there are."""
    number = versions.add()
    status, output, error = run("promote", "99")
    assert (status, output) == (1, "")
    assert error.count("\n") == 1
    assert f"versions: {number};" in error


def test_empty_registry_is_no_crash(run: Run) -> None:
    """Before the first training run there is nothing to list and nothing to promote."""
    assert run("history") == (0, "No alias was moved yet.\n", "")
    assert run("versions")[:2] == (0, "toxic-comments has no version yet.\n")
    assert run("champion-at", "2026-11-23T10:00Z") == (0, "none\n", "")
    assert run("show")[0] == 0
    assert run("promote", "1")[0] == 1
    assert run("rollback")[0] == 1


def test_history_tells_every_change_and_who_asked(run: Run, versions: Versions) -> None:
    """The newest first; a refused promotion stands there with its reasons in full."""
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


def test_champion_at_answers_for_any_moment(run: Run, versions: Versions) -> None:
    """Who was champion when can be told to the second, whichever way the time is written."""
    first, second = versions.add(), versions.add()
    run("promote", str(first))
    between = datetime.now(UTC)
    run("promote", str(second))
    assert run("champion-at", between.isoformat())[1] == f"{first}\n"
    assert run("champion-at", between.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))[1] == f"{first}\n"
    assert run("champion-at", "2020-01-01")[1] == "none\n"
    assert run("champion-at", "2999-01-01T00:00+02:00")[1] == f"{second}\n"


def test_nonsense_for_a_time_is_one_clear_line(run: Run) -> None:
    """The message shows how a time is written."""
    status, _, error = run("champion-at", "yesterday")
    assert (status, error.count("\n")) == (1, 1)
    assert "2026-11-23T10:00Z" in error


def test_verify_says_that_the_ledger_holds(run: Run, versions: Versions) -> None:
    """After changes of every kind the chain is whole and agrees with the aliases."""
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    run("promote", str(bad))
    run("promote", str(good))
    status, output, _ = run("verify")
    assert status == 0
    assert "hold together and agree with the aliases" in output


def test_versions_lists_the_newest_first(run: Run, versions: Versions) -> None:
    """Each row has the version, its aliases, when it came and what was measured."""
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


def test_show_tells_what_is_behind_each_alias(run: Run, versions: Versions) -> None:
    """An alias that points nowhere is shown as well."""
    number = versions.add(tags={"auc": "0.91"})
    run("promote", str(number))
    _, output, _ = run("show")
    assert f"champion: version {number}, registered " in output
    assert "  auc = 0.91\n" in output
    assert "previous: none\n" in output


def test_absent_registry_is_one_clear_line(run: Run) -> None:
    """The message names the address and how to get a registry, within seconds."""
    uri = f"http://127.0.0.1:{free_port()}"
    for command in ("history", "versions"):
        status, output, error = run(command, uri=uri)
        assert (status, output) == (1, "")
        assert error.count("\n") == 1
        assert uri in error
        assert "make serve" in error


def test_hashed_password_makes_a_line_of_the_users_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The password itself stands nowhere."""
    with pytest.raises(SystemExit):
        main(["hash-password", "zoe", "--password", "open sesame"])
    name, _, stored = capsys.readouterr().out.strip().partition(":")
    assert name == "zoe"
    assert check_password_hash(stored, "open sesame")

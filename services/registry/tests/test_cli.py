from collections.abc import Callable

import pytest
from mlflow.tracking import MlflowClient

from toxic_registry.aliases import MODEL_NAME
from toxic_registry.cli import main
from toxic_registry.testing import free_port

AddVersion = Callable[..., int]


@pytest.fixture
def run(registry_uri: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command against the real registry; gives status, output and errors."""

    def command(*arguments: str, uri: str = registry_uri) -> tuple[int, str, str]:
        capsys.readouterr()  # what the test's own client said
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--registry-uri", uri])
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return command


Run = Callable[..., tuple[int, str, str]]


def aliases(client: MlflowClient) -> dict[str, int]:
    """Return the registry's aliases."""
    return {alias: int(n) for alias, n in client.get_registered_model(MODEL_NAME).aliases.items()}


def test_promote_moves_the_champion(run: Run, client: MlflowClient, add_version: AddVersion) -> None:
    """An alias promotes as a number does, and the output says what changed."""
    first, second = add_version(), add_version()
    client.set_registered_model_alias(MODEL_NAME, "challenger", str(second))
    assert run("promote", str(first)) == (0, f"champion: none -> {first}\n", "")
    status, output, _ = run("promote", "challenger")
    assert status == 0
    assert f"champion: {first} -> {second}\nprevious: {first}" in output
    assert aliases(client) == {"champion": second, "challenger": second, "previous": first}


def test_promoting_the_champion_changes_nothing(run: Run, add_version: AddVersion) -> None:
    """It isn't an error to ask for what is so."""
    number = add_version()
    run("promote", str(number))
    status, output, _ = run("promote", str(number))
    assert status == 0
    assert "already champion" in output


def test_rollback_returns_to_the_previous_champion(
    run: Run, client: MlflowClient, add_version: AddVersion
) -> None:
    """One command undoes a promotion."""
    first, second = add_version(), add_version()
    run("promote", str(first))
    run("promote", str(second))
    status, output, _ = run("rollback", "--reason", "complaints")
    assert status == 0
    assert f"champion: {second} -> {first}" in output
    assert aliases(client) == {"champion": first, "previous": second}


def test_reason_goes_with_the_promotion_it_was_given_for(
    run: Run, client: MlflowClient, add_version: AddVersion
) -> None:
    """A later promotion without a reason doesn't keep the earlier one's."""
    first, second = add_version(), add_version()
    run("promote", str(first), "--reason", "the first one")
    assert client.get_model_version(MODEL_NAME, str(first)).tags["promotion.reason"] == "the first one"
    run("promote", str(second))
    run("promote", str(first))
    assert "promotion.reason" not in client.get_model_version(MODEL_NAME, str(first)).tags


def test_unknown_version_is_one_clear_line(run: Run, add_version: AddVersion) -> None:
    """The message names the versions there are."""
    number = add_version()
    status, output, error = run("promote", "99")
    assert (status, output) == (1, "")
    assert error.count("\n") == 1
    assert f"versions: {number};" in error


def test_empty_registry_is_no_crash(run: Run) -> None:
    """Before the first training run there is nothing to list and nothing to promote."""
    assert run("history") == (0, f"{MODEL_NAME} has no version yet.\n", "")
    assert run("show")[0] == 0
    assert run("promote", "1")[0] == 1
    assert run("rollback")[0] == 1


def test_history_lists_the_newest_first(run: Run, add_version: AddVersion) -> None:
    """Each row has the version, its aliases, when it came and what was measured."""
    first, second = add_version({"encoder": "tiny"}), add_version({"test.toxic.all.auc": "0.93"})
    run("promote", str(first), "--reason", "a line\nthat goes on and on, further than anyone would read")
    _, output, _ = run("history")
    header, *rows = output.splitlines()
    assert header.startswith("VERSION  ALIASES   CREATED (UTC)        ENCODER  TOXIC AUC  REVISION  REASON")
    assert [row.split()[0] for row in rows] == [str(second), str(first)]
    assert rows[0].split()[-4:] == ["-", "0.93", "-", "-"]
    assert rows[1].split()[1] == "champion"
    assert rows[1].endswith("tiny     -          -         a line that goes on and on, further tha…")


def test_show_tells_what_is_behind_each_alias(run: Run, add_version: AddVersion) -> None:
    """An alias that points nowhere is shown as well."""
    number = add_version({"auc": "0.91"})
    run("promote", str(number))
    _, output, _ = run("show")
    assert f"champion: version {number}, registered " in output
    assert "  auc = 0.91\n" in output
    assert "previous: none\n" in output


def test_absent_registry_is_one_clear_line(run: Run) -> None:
    """The message names the address and how to get a registry, within seconds."""
    uri = f"http://127.0.0.1:{free_port()}"
    status, output, error = run("history", uri=uri)
    assert (status, output) == (1, "")
    assert error.count("\n") == 1
    assert uri in error
    assert "make serve" in error

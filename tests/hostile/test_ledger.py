"""Someone who can write to the database can't change what the ledger recorded without a trace."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from toxic_registry.cli import main
from toxic_registry.ledger.entries import Change, Entry, LedgerError, Outcome, append_to, verify_chain
from toxic_registry.ledger.head import HeadFile
from toxic_registry.ledger.table import every_entry
from toxic_testing.registry import Attacked, RegistryProcess, Versions

pytestmark = pytest.mark.timeout(600)
HEAD = "ledger-head.json"


@contextmanager
def tampering(state: Path) -> Iterator[sqlite3.Connection]:
    """Open a registry's database, without the ledger's triggers."""
    with closing(sqlite3.connect(state / "mlflow.db")) as opened, opened:
        for guard in ("update", "delete", "replace"):
            opened.execute(f"DROP TRIGGER IF EXISTS toxic_ledger_no_{guard}")
        yield opened


def read(state: Path) -> tuple[Entry, ...]:
    """Return the ledger in a registry's database."""
    engine = create_engine(f"sqlite:///{state}/mlflow.db")
    with Session(engine) as session:
        entries = tuple(every_entry(session))
    engine.dispose()
    return entries


def write(state: Path, entries: Sequence[Entry]) -> None:
    """Replace the ledger in a registry's database."""
    columns = [field.name for field in fields(Entry)]
    with tampering(state) as opened:
        opened.execute("DELETE FROM toxic_ledger")
        opened.executemany(
            f"INSERT INTO toxic_ledger ({', '.join(columns)}) VALUES (:{', :'.join(columns)})",  # noqa: S608
            [asdict(entry) for entry in entries],
        )


def remove_refusal(state: Path) -> None:
    """Remove the last entry, which moved no alias."""
    with tampering(state) as opened:
        opened.execute("DELETE FROM toxic_ledger WHERE sequence = 3")


def remove_promotion(state: Path) -> None:
    """Remove everything from the override on, and move the aliases back."""
    with tampering(state) as opened:
        opened.execute("DELETE FROM toxic_ledger")
        opened.execute("DELETE FROM registered_model_aliases")


def rewrite(state: Path) -> None:
    """Turn the override into an ordinary promotion, and compute every hash anew."""
    forged: list[Entry] = []
    for entry in read(state):
        change = Change(**{name: asdict(entry)[name] for name in Change.__slots__})
        if change.outcome is Outcome.OVERRIDDEN:
            change = replace(change, outcome=Outcome.ACCEPTED, actor="root", reason="")
        last = forged[-1] if forged else None
        forged.append(append_to(last, change, now=datetime.fromisoformat(entry.time)))
    assert verify_chain(forged) == 3
    write(state, forged)


def verify(uri: str, *options: str) -> int:
    """Run `toxic-registry verify` and return its exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--registry-uri", uri, *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a registry that was stopped: a champion by override, a further alias, and a refusal."""
    folder = tmp_path_factory.mktemp("registry")
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(folder)})
    process.wait_until_ready()
    versions = Versions(MlflowClient(process.uri, process.uri), "toxic-comments", folder / "bundles")
    registry = Attacked(process.uri, folder, versions)
    worse = versions.add({"test.toxic.es.auc": 0.5})
    registry.set_alias(worse, actor="zoe", reason="agreed", override="true")
    registry.set_alias(worse, "candidate", actor="zoe")
    registry.set_alias(versions.add({"test.toxic.es.auc": 0.4}), actor="zoe")
    kept = str(folder / "kept.json")
    assert verify(process.uri, "--head", kept) == 0
    shutil.copy(folder / "mlflow.db", folder / "before.db")
    remove_refusal(folder)
    assert (verify(process.uri), verify(process.uri, "--head", kept)) == (1, 1), "while the registry runs"
    process.kill()
    shutil.move(folder / "before.db", folder / "mlflow.db")
    return folder


@pytest.mark.parametrize("tamper", [remove_refusal, remove_promotion, rewrite])
@pytest.mark.hostile(29)
def test_ledger_that_was_cut_or_rewritten_is_noticed(
    written: Path, tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    """Each leaves a chain that is whole and agrees with the aliases."""
    for name in ("mlflow.db", HEAD, "ledger-head.key"):
        shutil.copy(written / name, tmp_path / name)
    HeadFile(tmp_path / HEAD).check(read(tmp_path))
    tamper(tmp_path)
    verify_chain(read(tmp_path))
    with pytest.raises(LedgerError, match=r"removed from its end|rewritten"):
        HeadFile(tmp_path / HEAD).check(read(tmp_path))


@pytest.mark.hostile(38)
def test_clock_of_an_older_release_that_went_back_is_a_warning(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`verify` names the entry; the ledger of an honest upgrade is accepted."""
    shutil.copy(written / "mlflow.db", tmp_path / "mlflow.db")
    old: list[Entry] = []
    for hours, entry in enumerate(read(tmp_path)):
        change = Change(**{name: asdict(entry)[name] for name in Change.__slots__})
        change = change if change.alias == "champion" else replace(change, evidence_digest="")
        time = datetime.fromisoformat(entry.time) - timedelta(hours=hours)
        old.append(append_to(replace(old[-1], time="") if old else None, change, now=time))
    write(tmp_path, old)
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(tmp_path)})
    process.wait_until_ready()
    assert verify(process.uri) == 0
    assert "entries older than the one before them: 2, 3." in capsys.readouterr().err
    process.kill()


@pytest.mark.hostile(29)
def test_registry_does_not_start_without_its_ledger(written: Path) -> None:
    """A dropped table isn't replaced by an empty one."""
    with tampering(written) as opened:
        opened.execute("DROP TABLE toxic_ledger")
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(written)})
    assert process.join() == 1
    assert "removed from its end" in process.lines[-1]
    assert "Traceback" not in "".join(process.lines)

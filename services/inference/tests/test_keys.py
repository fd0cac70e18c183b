import os
import stat
from io import StringIO
from pathlib import Path

import pytest

from toxic_core.errors import ConfigurationError
from toxic_inference.adapters.key_file import KeyFile, load_keys
from toxic_inference.key_commands import run_key_command
from toxic_inference.keys import read_keys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that isn't there yet."""
    return tmp_path / "state" / "keys.txt"


def test_a_key_is_printed_once_and_kept_as_a_digest(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the file has doesn't give the key away, and nobody else can read it."""
    run_key_command(["keys", "add", "forum"], default_file=file)
    key = capsys.readouterr().out.strip()
    found = KeyFile(file).find(key)
    assert found is not None
    assert (found.name, found.role) == ("forum", "client")
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KeyFile(file).find(key[:-1]) is None
    assert len(key) > 40


def test_keys_are_listed_and_removed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name; a name is given once."""
    run_key_command(["keys", "add", "forum"], default_file=file)
    run_key_command(
        ["keys", "add", "ops", "--role", "operator", "--file", str(file)], default_file=Path("no")
    )
    with pytest.raises(ConfigurationError, match="already"):
        run_key_command(["keys", "add", "forum"], default_file=file)
    capsys.readouterr()
    run_key_command(["keys", "list"], default_file=file)
    assert capsys.readouterr().out == "forum\tclient\nops\toperator\n"
    run_key_command(["keys", "remove", "forum"], default_file=file)
    assert [key.name for key in load_keys(file)] == ["ops"]
    with pytest.raises(ConfigurationError, match="no key named"):
        run_key_command(["keys", "remove", "forum"], default_file=file)


def test_a_key_that_clients_have_is_kept(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command or from standard input, never printed; each owner has their own."""
    google, other = "AIza" + "Sy-0_example" * 3, "f" * 32
    run_key_command(["keys", "add", "forum", "--value", google], default_file=file)
    monkeypatch.setattr("sys.stdin", StringIO(f"{other}\n"))
    run_key_command(["keys", "add", "news", "--value", "-"], default_file=file)
    for key, name in ((google, "forum"), (other, "news")):
        found = KeyFile(file).find(key)
        assert found is not None
        assert found.name == name
    printed = capsys.readouterr()
    assert google not in printed.out + printed.err + file.read_text()
    with pytest.raises(ConfigurationError, match="'forum''s already"):
        run_key_command(["keys", "add", "third", "--value", google], default_file=file)
    for value in ("", "short", "x" * 31, "two words " * 5, "x" * 257):
        with pytest.raises(ConfigurationError, match="32 to 256"):
            run_key_command(["keys", "add", "third", f"--value={value}"], default_file=file)


@pytest.mark.parametrize("name", ["", "two words", "../x", "x" * 65, "#a"])
def test_a_name_that_can_t_stand_in_the_file_is_refused(file: Path, name: str) -> None:
    """And no file is made."""
    with pytest.raises(ConfigurationError):
        run_key_command(["keys", "add", name], default_file=file)
    assert not file.exists()


@pytest.mark.parametrize(
    "text",
    ["forum client", "forum boss " + "0" * 64, "forum client abc", ("a client " + "0" * 64 + "\n") * 2],
)
def test_a_file_that_isn_t_keys_is_refused_by_its_line(text: str) -> None:
    """So that a typing error doesn't lock everybody out in silence."""
    with pytest.raises(ConfigurationError, match="Line"):
        read_keys(text)


def test_a_service_without_its_keys_doesn_t_start(file: Path) -> None:
    """Missing or empty: the message says how to make one."""
    with pytest.raises(ConfigurationError, match="keys add"):
        KeyFile(file)
    file.parent.mkdir()
    file.write_text("# nothing\n")
    with pytest.raises(ConfigurationError, match="keys add"):
        KeyFile(file)


@pytest.mark.hostile(37)
def test_a_revoked_key_is_out_even_if_the_file_keeps_its_time(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does the same size or the same inode keep it."""
    keys = []
    for name in ("one", "two"):
        run_key_command(["keys", "add", name], default_file=file)
        keys.append(capsys.readouterr().out.strip())
    known, times, content = KeyFile(file), file.stat(), file.read_text()
    assert known.find(keys[0])
    digest = load_keys(file)[0].digest
    file.write_text(content.replace(digest, "0" * len(digest)))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_ino) == (times.st_size, times.st_ino)
    assert known.find(keys[0]) is None
    assert known.find(keys[1])


@pytest.mark.hostile(37)
def test_a_file_that_can_not_be_read_stops_no_client(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its keys stay as they were, with a line in the log, until it can be read again."""
    run_key_command(["keys", "add", "forum"], default_file=file)
    key = capsys.readouterr().out.strip()
    known = KeyFile(file)
    file.write_bytes(b"\xff")
    assert known.find(key)
    assert "keys.unreadable" in capsys.readouterr().out
    run_key_command(["keys", "add", "news", "--file", str(file) + ".new"], default_file=file)
    Path(f"{file}.new").replace(file)
    assert known.find(key) is None

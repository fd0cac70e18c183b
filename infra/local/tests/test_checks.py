import socket
import sys
from pathlib import Path

import pytest

from toxic_local.checks import check_disk, check_installed, check_port, check_writable
from toxic_local.errors import CheckFailedError
from toxic_testing.ports import free_port


def test_a_program_that_isn_t_installed_is_named() -> None:
    """The message has the command that installs it; other programs than modules aren't checked."""
    check_installed((sys.executable, "-m", "toxic_local"))
    check_installed(("toxic-registry-of-a-test", "serve"))
    with pytest.raises(CheckFailedError, match=r"toxic_nowhere isn't installed.*toxic-local\[stack\]"):
        check_installed((sys.executable, "-m", "toxic_nowhere", "serve"))


def test_free_port_passes() -> None:
    """The check leaves the port free, so it can run again."""
    port = free_port()
    for _ in range(2):
        check_port(port, needed_by="the registry", variable="REGISTRY_PORT")


def test_taken_port_is_named_with_its_user_and_variable() -> None:
    """One line has the port, its user and how to choose another."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CheckFailedError, match=rf"Port {port}.*the registry.*REGISTRY_PORT") as told:
            check_port(port, needed_by="the registry", variable="REGISTRY_PORT")
    assert "\n" not in str(told.value)


def test_state_folder_is_made(tmp_path: Path) -> None:
    """A first run has no folders yet."""
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_unwritable_state_folder_is_named_with_its_variable(tmp_path: Path) -> None:
    """A file in place of the folder is an error."""
    (tmp_path / "file").touch()
    with pytest.raises(CheckFailedError, match=r"file/state.*TOXIC_STATE_DIR"):
        check_writable(tmp_path / "file" / "state")


def test_full_disk_is_named_with_what_is_missing(tmp_path: Path) -> None:
    """The message has both figures."""
    with pytest.raises(CheckFailedError, match=r"0\.5 GiB free, and 2 GiB"):
        check_disk(tmp_path, free_bytes=lambda _: 2**29)


def test_disk_with_room_passes(tmp_path: Path) -> None:
    """The real disk of the tests has a byte left."""
    check_disk(tmp_path, needed_bytes=1)

from pathlib import Path

import pytest

from toxic_core.errors import InvalidDataError
from toxic_inference.adapters.watched_file import WatchedFile


def read_number(path: Path) -> int:
    """Read a file with a number."""
    try:
        return int(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidDataError("That is no number.") from error


def test_a_changed_file_is_read_again_and_a_bad_one_is_not(tmp_path: Path) -> None:
    """A missing or invalid file keeps the old content until it is valid again; at first it is an error."""
    path = tmp_path / "number"
    with pytest.raises(InvalidDataError):
        WatchedFile(path, read_number, name="number")
    path.write_text("1")
    file = WatchedFile(path, read_number, name="number")
    assert file.current() == 1
    for content, expected in (("22", 22), ("no number", 22), (None, 22), ("4444", 4444)):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        assert file.current() == expected

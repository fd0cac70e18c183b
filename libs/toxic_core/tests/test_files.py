from pathlib import Path

import pytest

from toxic_core.files import replacing, replacing_in_folder


def test_a_replaced_file_has_the_new_content_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """The temporary file is renamed, not copied."""
    file = tmp_path / "folder" / "facts.json"
    with replacing(file) as partial:
        partial.write_text("new", encoding="utf-8")
        assert not file.exists()
    assert file.read_text(encoding="utf-8") == "new"
    assert list(file.parent.iterdir()) == [file]


def test_a_failed_replacement_keeps_the_old_content(tmp_path: Path) -> None:
    """An incomplete write doesn't replace the file."""
    file = tmp_path / "facts.json"
    file.write_text("old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError), replacing(file) as partial:
        partial.write_text("half of it \udc80", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_gone_is_not_created_again(tmp_path: Path) -> None:
    """A file in it can't be replaced; one in a folder that exists can."""
    with pytest.raises(FileNotFoundError), replacing_in_folder(tmp_path / "gone" / "facts.json") as partial:
        partial.write_text("new", encoding="utf-8")
    with replacing_in_folder(tmp_path / "facts.json") as partial:
        partial.write_text("new", encoding="utf-8")
    assert list(tmp_path.iterdir()) == [tmp_path / "facts.json"]

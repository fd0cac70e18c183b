from pathlib import Path

import pytest

from toxic_inference.adapters.served_file import ServedFile
from toxic_inference.serving.interfaces import AspiredVersion, ServableId

SERVED = (
    AspiredVersion(ServableId("3", "abc", digest="d" * 64), frozenset({"champion"})),
    AspiredVersion(ServableId("4", "def"), frozenset({"challenger", "candidate"})),
)


def test_what_was_served_is_recalled(tmp_path: Path) -> None:
    """Another process reads the same file; only the last version set is kept."""
    file = ServedFile(tmp_path / "routes.json", registry="http://registry")
    file.remember(SERVED[1:])
    file.remember(SERVED)
    assert ServedFile(tmp_path / "routes.json", registry="http://registry").recall() == SERVED
    assert [path.name for path in tmp_path.iterdir()] == ["routes.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b'{"registry": "http://registry"}', b"[]"])
def test_a_missing_or_broken_file_recalls_nothing(tmp_path: Path, content: bytes | None) -> None:
    """A start continues without it."""
    path = tmp_path / "routes.json"
    if content is not None:
        path.write_bytes(content)
    assert ServedFile(path, registry="http://registry").recall() == ()


def test_a_file_of_an_older_release_has_no_digests(tmp_path: Path) -> None:
    """What it names is served until the registry answers."""
    route = '{"version": "3", "fingerprint": "abc", "aliases": ["champion"]}'
    path = tmp_path / "routes.json"
    path.write_text(f'{{"registry": "http://registry", "routes": [{route}]}}')
    (recalled,) = ServedFile(path, registry="http://registry").recall()
    assert recalled.id == ServableId("3", "abc", digest=None)
    (recalled,) = ServedFile(path, registry="http://registry", require_approval=True).recall()
    assert recalled.id.approved is False, "served, with an alert"


def test_another_registry_s_versions_aren_t_recalled(tmp_path: Path) -> None:
    """A changed registry address starts without saved state."""
    ServedFile(tmp_path / "routes.json", registry="http://old").remember(SERVED)
    assert ServedFile(tmp_path / "routes.json", registry="http://new").recall() == ()


def test_a_disk_that_refuses_stops_nothing(tmp_path: Path) -> None:
    """Serving continues if the file can't be written."""
    (tmp_path / "gone").touch()
    file = ServedFile(tmp_path / "gone" / "routes.json", registry="http://registry")
    file.remember(SERVED)
    assert file.recall() == ()

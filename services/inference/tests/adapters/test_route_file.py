from pathlib import Path

import pytest

from toxic_inference.adapters.route_file import RouteFile
from toxic_inference.serving.interfaces import AspiredVersion, ServableId

SERVED = (
    AspiredVersion(ServableId("3", "abc"), frozenset({"champion"})),
    AspiredVersion(ServableId("4", "def"), frozenset({"challenger", "candidate"})),
)


def test_what_was_served_is_recalled(tmp_path: Path) -> None:
    """Another process on the same file knows it, and only the last is kept."""
    file = RouteFile(tmp_path / "routes.json", registry="http://registry")
    file.remember(SERVED[1:])
    file.remember(SERVED)
    assert RouteFile(tmp_path / "routes.json", registry="http://registry").recall() == SERVED
    assert [path.name for path in tmp_path.iterdir()] == ["routes.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b'{"registry": "http://registry"}', b"[]"])
def test_a_missing_or_broken_file_recalls_nothing(tmp_path: Path, content: bytes | None) -> None:
    """A start goes on without it."""
    path = tmp_path / "routes.json"
    if content is not None:
        path.write_bytes(content)
    assert RouteFile(path, registry="http://registry").recall() == ()


def test_another_registry_s_versions_aren_t_recalled(tmp_path: Path) -> None:
    """A changed registry address starts from nothing."""
    RouteFile(tmp_path / "routes.json", registry="http://old").remember(SERVED)
    assert RouteFile(tmp_path / "routes.json", registry="http://new").recall() == ()


def test_a_disk_that_refuses_stops_nothing(tmp_path: Path) -> None:
    """Serving goes on when it can't be remembered."""
    file = RouteFile(tmp_path / "gone" / "routes.json", registry="http://registry")
    file.remember(SERVED)
    assert file.recall() == ()

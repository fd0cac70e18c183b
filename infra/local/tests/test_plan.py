from pathlib import Path

import pytest

from toxic_local.errors import CheckFailedError
from toxic_local.plan import plan_from, project_root, state_root


def test_defaults_are_the_documented_ports() -> None:
    """Without any variable, the README's addresses hold."""
    plan = plan_from({}, name="demo")
    assert plan.registry_uri == "http://127.0.0.1:5000"
    assert plan.inference_uri == "http://127.0.0.1:8001"
    assert plan.state_dir == project_root() / "var" / "demo"


def test_repository_is_found() -> None:
    """State is in the repository's var/, independent of the working directory."""
    assert (project_root() / "Makefile").is_file()


def test_state_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative path is relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    assert state_root({"TOXIC_STATE_DIR": "elsewhere"}) == tmp_path / "elsewhere"


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "8001.5", "²"])
def test_bad_port_is_named_with_its_variable(text: str) -> None:
    """What isn't a port is refused before anything starts."""
    with pytest.raises(CheckFailedError, match="INFERENCE_PORT"):
        plan_from({"INFERENCE_PORT": text}, name="demo")


def test_one_port_for_two_services_is_refused() -> None:
    """The second to start would find it taken by the first, a confusing message."""
    with pytest.raises(CheckFailedError, match="both 9000"):
        plan_from({"INFERENCE_PORT": "9000", "REGISTRY_PORT": "9000"}, name="demo")

import subprocess
from pathlib import Path

import pytest

from toxic_training.release.bundle import REVISION_VARIABLE, code_revision

pytestmark = pytest.mark.slow


def test_outside_git_the_environment_contains_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container image has no Git history, so that a variable contains the revision."""
    monkeypatch.delenv(REVISION_VARIABLE, raising=False)
    assert code_revision(tmp_path) == "unknown"
    monkeypatch.setenv(REVISION_VARIABLE, "abc123")
    assert code_revision(tmp_path) == "abc123"


def test_inside_git_the_variable_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The revision is that of the checkout."""
    monkeypatch.setenv(REVISION_VARIABLE, "abc123")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert code_revision(tmp_path) == head.stdout.strip()

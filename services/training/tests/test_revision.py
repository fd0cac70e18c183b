import subprocess
from pathlib import Path

import pytest

from toxic_training.release.revision import REVISION_VARIABLE, code_revision


def test_outside_git_the_environment_tells_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image holds no history, and a model trained in it still says what trained it."""
    monkeypatch.delenv(REVISION_VARIABLE, raising=False)
    assert code_revision(tmp_path) == "unknown"
    monkeypatch.setenv(REVISION_VARIABLE, "abc123")
    assert code_revision(tmp_path) == "abc123"


def test_inside_git_the_commit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is what runs; a variable left over from elsewhere isn't believed."""
    monkeypatch.setenv(REVISION_VARIABLE, "abc123")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert code_revision(tmp_path) == head.stdout.strip()

"""The documents say what is true of the code beside them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "data/README.md", "services/*/README.md", "libs/*/README.md")
    for path in ROOT.glob(pattern)
)
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    """A command in a document is one that `make` knows."""
    named = set(re.findall(r"`(?:\w+=\S+ )*make ([a-z][a-z0-9-]*)", document.read_text()))
    named |= set(re.findall(r"^(?:\w+=\S+ )*make ([a-z][a-z0-9-]*)", document.read_text(), re.MULTILINE))
    assert named <= TARGETS, f"{_name(document)} names targets that don't exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    """A relative link points at a file that is there."""
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{_name(document)} links to {target}"


def test_every_target_is_in_the_readme() -> None:
    """The README's table of commands is complete."""
    readme = (ROOT / "README.md").read_text()
    assert {target for target in TARGETS if f"make {target}" not in readme} == set()


def test_every_decision_is_listed_in_the_architecture() -> None:
    """ARCHITECTURE.md links every decision record."""
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    records = {path.name for path in (ROOT / "docs" / "adr").glob("*.md")}
    assert {record for record in records if record not in architecture} == set()

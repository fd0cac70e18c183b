"""Documents agree with the code beside them: commands, links, anchors, modules and records exist."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from toxic_registry.cli import commands as registry_commands
from toxic_testing.settings_document import document as settings_document

ROOT = Path(__file__).resolve().parents[1]
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
FOLDERS = ("libs", "services", "infra", "benchmarks", "models", "tests")
PROJECTS = [tomllib.loads(path.read_text())["project"] for path in ROOT.glob("*/*/pyproject.toml")]
PROGRAMS = {program for project in PROJECTS for program in project.get("scripts", {})}
SOURCES = sorted(ROOT.glob("*/*/src"))


def _tracked_documents() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "*.md"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


DOCUMENTS = _tracked_documents()


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _links(document: Path) -> list[tuple[str, str]]:
    """Return the path and the anchor of every relative link, code blocks aside."""
    prose = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", prose)
    found += [(source, "") for source in re.findall(r'(?:src|srcset|href)="(?!https?://)([^"#]+)"', prose)]
    return found


def _anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as code hosts make them."""
    prose = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    """A command in a document is one that `make` knows."""
    text = document.read_text()
    named = set(re.findall(r"`(?:\w+=\S+ )*make ([a-z][a-z0-9-]*)", text))
    named |= set(re.findall(r"^(?:\s*\$ )?(?:\w+=\S+ )*make ([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert named <= TARGETS, f"{_name(document)} names targets that don't exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    """A relative link points to an existing file, and its anchor to a heading of that file."""
    for target, anchor in _links(document):
        path = document.parent / target if target else document
        assert path.exists(), f"{_name(document)} links to {target}, which doesn't exist"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(path), (
                f"{_name(document)} links to {target}#{anchor}, which has no heading"
            )


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_module_that_a_document_names_exists(document: Path) -> None:
    """A dotted name such as `toxic_core.contract` is a module, or a name within one."""
    for name in set(re.findall(r"`(toxic_[a-z]+(?:\.\w+)+)", document.read_text())):
        package, *parts = name.split(".")
        module = next(folder / package for folder in SOURCES if (folder / package).is_dir())
        while parts and (module / parts[0]).is_dir():
            module /= parts.pop(0)
        if parts and (module / f"{parts[0]}.py").is_file():
            module /= f"{parts.pop(0)}.py"
        source = module if module.is_file() else module / "__init__.py"
        missing = [part for part in parts if not re.search(rf"\b{part}\b", source.read_text())]
        assert not missing, f"{_name(document)} names {name}; {_name(source)} has no {missing}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    """A path of this repository in code style exists; NAME stands for the name of something new."""
    for path in set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", document.read_text())):
        if "NAME" not in path:
            assert (ROOT / path).exists(), f"{_name(document)} names {path}, which doesn't exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_program_that_a_document_runs_exists(document: Path) -> None:
    """A program in an example is an entry point of a package, and its subcommand exists."""
    for program, subcommand in re.findall(
        r"^ *\$ (?:\w+=\S+ )*(?:\.venv/bin/)?(toxic-[a-z]+) ([a-z-]+)?", document.read_text(), re.MULTILINE
    ):
        assert program in PROGRAMS, f"{_name(document)} runs {program}"
        if program == "toxic-registry":
            assert subcommand in registry_commands.commands, f"{_name(document)}: {program} {subcommand}"


def test_the_readme_names_the_programs_that_make_install_leaves_out() -> None:
    """Guides run them like the others; one sentence has them and the target that installs them."""
    folders = re.findall(r"^-e ([\w/]+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    projects = [
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"] for folder in folders
    ]
    installed = {program for project in projects for program in project.get("scripts", {})}
    prose = " ".join((ROOT / "README.md").read_text().split())
    (sentence,) = re.findall(r"[^.]*`make install-dev`[^.]*\.", prose)
    assert set(re.findall(r"`(toxic-[a-z]+)`", sentence)) == PROGRAMS - installed


def test_every_decision_is_listed_in_the_index() -> None:
    """docs/adr/README.md links every decision record, with its title."""
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    for record in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")):
        number, _, title = record.read_text().splitlines()[0].removeprefix("# ").partition(": ")
        assert record.name.startswith(number)
        assert f"| [{number}]({record.name}) | {title} |" in index, f"{record.name} is not in the index"


def test_the_settings_document_is_up_to_date() -> None:
    """docs/settings.md lists every environment variable of the services; `make settings` writes it."""
    assert (ROOT / "docs" / "settings.md").read_text() == settings_document()


def test_the_readme_stays_short() -> None:
    """The README has at most 150 lines; details belong to the guides."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150

"""The house rules that a test can check: sizes, private helpers, imports and prose."""

import ast
import functools
import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(
    path.parent for path in ROOT.glob("*/*/src/toxic_*/__init__.py") if "support" not in path.parts
)

MAX_MODULES = 14
MAX_README_LINES = 150
MAX_HELPERS_USED_ONCE = 0.12

HABITS = {
    "where": (r"where(?:ver)?", 1.5),
    "say and tell": (r"says?|said|tells?|told", 1.0),
    "nobody and nothing": (r"nobody|nothing|no one", 0.8),
    "whose and whoever": (r"who(?:se|ever|m)|whatever", 0.8),
    "stand and lie": (r"stands?|stood|lies|lay", 0.6),
}
"""Words that replace standard English here, with the largest rate per 1,000 words of prose."""


@functools.cache
def tracked(*patterns: str) -> tuple[Path, ...]:
    """Return the repository's files that match `patterns`, new ones included."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", *patterns]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return tuple(ROOT / name for name in listed if (ROOT / name).is_file())


def sources() -> list[Path]:
    """Return the modules of the packages that ship."""
    return [path for path in tracked("*.py") if any(path.is_relative_to(package) for package in PACKAGES)]


def without_code(line: str) -> str:
    """Return a line of text without its inline code."""
    return re.sub(r"`[^`]*`", "", line)


def markdown_prose(text: str) -> Iterator[str]:
    """Yield the lines of a Markdown document outside its fenced code."""
    for index, block in enumerate(re.split(r"^\s*```.*$", text, flags=re.MULTILINE)):
        if index % 2 == 0:
            yield from map(without_code, block.splitlines())


def python_prose(text: str) -> Iterator[str]:
    """Yield the lines of a module's docstrings and comments."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(docstring))):
                yield from map(without_code, docstring.splitlines())
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield without_code(token.string.lstrip("# "))


@functools.cache
def prose() -> str:
    """Return the prose of every Python module and Markdown document."""
    lines: list[str] = []
    for path in tracked("*.py", "*.md"):
        text = path.read_text(encoding="utf-8")
        lines += markdown_prose(text) if path.suffix == ".md" else python_prose(text)
    return "\n".join(lines)


def test_no_package_has_too_many_modules() -> None:
    """A folder that a reader can't survey is split by concern."""
    modules = Counter(path.parent for path in sources() if path.name != "__init__.py")
    assert not {str(folder.relative_to(ROOT)): n for folder, n in modules.items() if n > MAX_MODULES}


def test_few_private_helpers_are_used_once() -> None:
    """A helper with one caller makes its reader jump, so most of them are inlined."""
    functions, once = 0, []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions += 1
                private = node.name.startswith("_") and not node.name.startswith("__")
                if private and len(re.findall(rf"\b{node.name}\b", text)) == 2:
                    once.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert len(once) <= MAX_HELPERS_USED_ONCE * functions, "\n".join(once)


def test_the_readme_is_short() -> None:
    """Details are in `docs/`."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.name))
def test_every_package_builds_on_the_core(package: Path) -> None:
    """What all packages share (errors, files, names, telemetry) is in `toxic_core`."""
    own = [path.read_text(encoding="utf-8") for path in sources() if path.is_relative_to(package)]
    assert package.name == "toxic_core" or any("from toxic_core" in text for text in own)


def test_the_registrys_names_are_written_once() -> None:
    """Code takes the model's name and its aliases from `toxic_core.registered`."""
    assigned = re.compile(
        r"""^\w+(: \w+)? = ["'](toxic-comments|champion|challenger|previous|canary)["']""", re.MULTILINE
    )
    modules = [path for path in sources() if path.name != "registered.py" or "toxic_core" not in path.parts]
    assert not [str(path) for path in modules if assigned.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("habit", HABITS)
def test_prose_is_standard_english(habit: str) -> None:
    """Docstrings, comments and documents use the words that a reader expects and searches for."""
    pattern, limit = HABITS[habit]
    found = len(re.findall(rf"\b(?:{pattern})\b", prose(), re.IGNORECASE))
    rate = 1000 * found / len(re.findall(r"[A-Za-z']+", prose()))
    assert rate <= limit, f"{found} times, {rate:.1f} per 1,000 words"

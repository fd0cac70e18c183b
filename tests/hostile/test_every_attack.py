"""Every attack of the list has a test."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def repeated() -> set[int]:
    """Return the numbers in the markers `hostile` of all tests."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "test_*.py", "**/test_*.py"]
    files = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return {
        number.value
        for file in files
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.hostile"
        for number in node.args
        if isinstance(number, ast.Constant) and isinstance(number.value, int)
    }


def test_every_attack_has_a_test() -> None:
    """The list is complete, and no marker has a number beyond it."""
    listed = re.findall(r"^\| (\d+) \|", (Path(__file__).parent / "README.md").read_text(), re.MULTILINE)
    assert sorted(map(int, listed)) == list(range(1, 40))
    assert repeated() == set(map(int, listed))

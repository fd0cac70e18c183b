"""What OpenVINO computes in."""

from pathlib import Path

import pytest

from toxic_core import openvino_model
from toxic_core.openvino_model import Precision, computes


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx_vnni\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("Features : neon\n", False),
        (None, False),
    ],
)
def test_int8_is_computed_where_the_cpu_has_instructions_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None, *, expected: bool
) -> None:
    """Elsewhere, and where nobody can tell, it would be slower than float32."""
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo, encoding="utf-8")
    monkeypatch.setattr(openvino_model, "_CPU_FLAGS", file)
    assert computes(Precision.INT8) is expected

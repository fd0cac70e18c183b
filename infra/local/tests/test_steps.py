import io

import pytest

from toxic_local.steps import Steps


def test_each_step_says_its_number_and_time() -> None:
    """A person sees how far it is and what took long."""
    out = io.StringIO()
    ticks = iter([0.0, 10.0, 12.5])
    with Steps(5, out=out, clock=lambda: next(ticks)).step("train"):
        assert out.getvalue() == "step 1/5: train …\n"
    assert out.getvalue().splitlines()[-1] == "step 1/5: train … took 2.5 s"


def test_failed_step_isn_t_said_to_have_been_done() -> None:
    """The error itself is raised to the caller."""
    out = io.StringIO()
    with pytest.raises(RuntimeError), Steps(1, out=out).step("train"):
        raise RuntimeError
    assert "not finished after" in out.getvalue()
    assert "took" not in out.getvalue()

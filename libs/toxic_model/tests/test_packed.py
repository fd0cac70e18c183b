import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from toxic_core.errors import ConfigurationError
from toxic_model.packed import Floats, pack_weights, unpack_weights

_numbers = st.floats(-4, 4, width=32)
_matrices = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(64)), elements=_numbers)


@given(_matrices)
def test_rounded_weights_are_stored_without_loss(matrix: Floats) -> None:
    """Packing unpacked weights gives the same bits again, in 4 and in 8 bits."""
    packed = pack_weights({"table": matrix, "matrix": matrix}, table="table")
    again = pack_weights(unpack_weights(packed), table="table")
    rounded, twice = unpack_weights(packed), unpack_weights(again)
    for name in rounded:
        np.testing.assert_array_equal(twice[name], rounded[name])


@given(_matrices)
def test_eight_bits_are_off_by_half_a_step_at_most(matrix: Floats) -> None:
    """No number changes by more than half of its output's step."""
    rounded = unpack_weights(pack_weights({"matrix": matrix}, table="table"))["matrix"]
    step = np.abs(matrix).max(axis=1, keepdims=True) / 127
    assert (np.abs(rounded - matrix) <= step * 0.5 + 1e-6).all()


@given(_matrices)
def test_four_bits_are_off_by_a_step_at_most(matrix: Floats) -> None:
    """No number changes by more than one step of its block; one end has only seven steps."""
    rounded = unpack_weights(pack_weights({"table": matrix}, table="table"))["table"]
    step = np.abs(matrix).reshape(len(matrix), -1, 32).max(axis=-1) / 8
    assert (np.abs(rounded - matrix) <= np.repeat(step, 32, axis=1) * 1.01 + 1e-6).all()


def test_sizes_follow_from_the_bits() -> None:
    """A table takes four and a half bits per number, a matrix eight, a bias 32."""
    weights = {
        "table": np.ones((64, 384), np.float32),
        "matrix": np.ones((64, 384), np.float32),
        "bias": np.ones(64, np.float32),
    }
    packed = pack_weights(weights, table="table")
    sizes = {name: tensor.nbytes for name, tensor in packed.items()}
    assert sizes["table.q4"] + sizes["table.scale"] == 64 * 384 * 4.5 / 8
    assert sizes["matrix.q8"] == 64 * 384
    assert sizes["bias"] == 64 * 4


def test_a_table_without_whole_blocks_takes_eight_bits() -> None:
    """A width that isn't a multiple of 32 is stored in eight bits."""
    table = np.ones((3, 20), np.float32)
    packed = pack_weights({"table": table}, table="table")
    assert set(packed) == {"table.q8", "table.scale"}
    np.testing.assert_allclose(unpack_weights(packed)["table"], table, rtol=1e-6)


def test_a_tensor_without_its_scale_is_refused() -> None:
    """The error names the missing tensor."""
    with pytest.raises(ConfigurationError, match=r"matrix\.scale"):
        unpack_weights({"matrix.q8": np.ones((2, 2), np.int8)})

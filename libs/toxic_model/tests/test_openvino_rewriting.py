"""Rewriting a model before it is compiled."""

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as operation

from toxic_model.precision import Precision
from toxic_model.runtimes.openvino import compile_model
from toxic_model.runtimes.openvino_rewriting import (
    add_biases_to_products,
    drop_masks_after_softmax,
    fuse_layer_norms,
    round_weights,
    turn_einsums_into_products,
    turn_transposed_products,
)

Float32Array = NDArray[np.float32]
RNG = np.random.default_rng(5)


def _compute(model: ov.Model, values: Float32Array, precision: Precision = Precision.FLOAT32) -> Float32Array:
    compiled = compile_model(ov.Core(), model, precision, threads=1)
    return np.array(compiled([values])[0])


def _kinds(model: ov.Model) -> set[str]:
    return {node.get_type_name() for node in model.get_ops()}


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("abc,cde->abde", (2, 5, 64), (64, 4, 16)),
        ("abcd,cde->abe", (2, 5, 4, 16), (4, 16, 64)),
        ("abc,cd->abd", (2, 5, 64), (64, 96)),
    ],
)
def test_an_einsum_with_weights_becomes_the_product_that_it_is(
    equation: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    """The result is the same for any number of texts and tokens."""
    source = operation.parameter([-1, -1, *left[2:]], np.float32)
    weights = RNG.normal(size=right).astype(np.float32)
    model = ov.Model([operation.einsum([source, operation.constant(weights)], equation)], [source])
    turn_einsums_into_products(model)
    assert "Einsum" not in _kinds(model)
    values = RNG.normal(size=left).astype(np.float32)
    np.testing.assert_allclose(
        _compute(model, values), np.einsum(equation, values, weights), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("equation", ["abc,dce->abde", "abc,cde->adbe", "abc,acd->abd"])
def test_other_einsums_stay(equation: str) -> None:
    """An einsum that isn't one matrix product stays."""
    source = operation.parameter([2, 3, 4], np.float32)
    shape = (2, 4, 4) if equation == "abc,acd->abd" else (4, 4, 4)
    weights = operation.constant(RNG.normal(size=shape).astype(np.float32))
    model = ov.Model([operation.einsum([source, weights], equation)], [source])
    turn_einsums_into_products(model)
    assert "Einsum" in _kinds(model)


@pytest.mark.parametrize("equation", ["abc->cba", "...c,cd->...d"])
def test_an_einsum_of_one_side_or_of_open_axes_stays(equation: str) -> None:
    """A model without any of the patterns stays as it is."""
    source = operation.parameter([2, 3, 4], np.float32)
    weights = operation.constant(RNG.normal(size=(4, 5)).astype(np.float32))
    sides = [source, weights] if "," in equation else [source]
    model = ov.Model([operation.einsum(sides, equation)], [source])
    turn_einsums_into_products(model)
    round_weights(model)
    assert "Einsum" in _kinds(model)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2]])
def test_a_transposed_product_becomes_that_of_its_transposed_sides(
    order: list[int], turned: tuple[bool, bool]
) -> None:
    """Only if its last two axes are swapped; each side may be transposed before."""
    source = operation.parameter([2, 4, 4], np.float32)
    other = operation.constant(RNG.normal(size=(2, 4, 4)).astype(np.float32))
    product = operation.matmul(source, other, transpose_a=turned[0], transpose_b=turned[1])
    model = ov.Model([operation.transpose(product, order)], [source])
    values = RNG.normal(size=(2, 4, 4)).astype(np.float32)
    expected = _compute(model, values)
    turn_transposed_products(model)
    assert ("Transpose" in _kinds(model)) == (order == [1, 0, 2])
    np.testing.assert_allclose(_compute(model, values), expected, rtol=1e-5, atol=1e-5)


def _layer_norm(*, power: float, axis: int, epsilon: list[float]) -> ov.Model:
    """Return a layer normalisation as Keras writes it, but for what is asked for."""
    source = operation.parameter([-1, -1, 16], np.float32)
    axes = operation.constant(np.array([-1], np.int64))
    gamma, beta = (operation.constant(RNG.normal(size=(1, 1, 16)).astype(np.float32)) for _ in range(2))
    mean = operation.reduce_mean(source, axes, keep_dims=True)
    other = operation.constant(np.array([axis], np.int64))
    variance = operation.reduce_mean(operation.squared_difference(source, mean), other, keep_dims=True)
    added = operation.constant(np.array(epsilon, np.float32))
    deviation = operation.power(operation.add(variance, added), np.float32(power))
    slope = operation.multiply(deviation, gamma)
    shift = operation.add(operation.multiply(operation.negative(mean), slope), beta)
    return ov.Model([operation.add(operation.multiply(source, slope), shift)], [source])


@pytest.mark.parametrize(
    ("power", "axis", "epsilon", "fused"),
    [
        (-0.5, -1, [1e-3], True),
        (-1.0, -1, [1e-3], False),
        (-0.5, 1, [1e-3], False),
        (-0.5, -1, [1e-3] * 16, False),
    ],
)
def test_a_layer_normalisation_becomes_one_operation(
    *, power: float, axis: int, epsilon: list[float], fused: bool
) -> None:
    """And what only looks like one stays."""
    model = _layer_norm(power=power, axis=axis, epsilon=epsilon)
    values = RNG.normal(size=(2, 3, 16)).astype(np.float32)
    expected = _compute(model, values)
    fuse_layer_norms(model)
    assert ("MVN" in _kinds(model)) == fused
    np.testing.assert_allclose(_compute(model, values), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "order", "fits"),
    [
        ((1, 4, 16, 1), [0, 2, 3, 1], True),
        ((1, 4, 1, 16), [0, 2, 1, 3], True),
        ((1, 1, 1, 16), [0, 2, 1, 3], False),
        ((1, 4, 5, 16), [0, 2, 1, 3], False),
        ((16,), [0, 2, 1, 3], False),
        ((1, 1, 4, 16), [0, 1, 2, 3], True),
        ((1, 1, 16, 4), [0, 1, 3, 2], True),
    ],
)
def test_what_is_added_to_turned_heads_is_added_to_the_product(
    shape: tuple[int, ...], order: list[int], *, fits: bool
) -> None:
    """Only if it has one number per output of the product."""
    source = operation.parameter([-1, 5, 32], np.float32)
    weights = operation.constant(RNG.normal(size=(32, 64)).astype(np.float32))
    product = operation.matmul(source, weights, transpose_a=False, transpose_b=False)
    parted = operation.reshape(product, np.array([0, 0, 4, 16], np.int64), special_zero=True)
    bias = operation.constant(RNG.normal(size=shape).astype(np.float32))
    model = ov.Model([operation.add(operation.transpose(parted, order), bias)], [source])
    values = RNG.normal(size=(2, 5, 32)).astype(np.float32)
    expected = _compute(model, values)
    add_biases_to_products(model)
    last = model.get_results()[0].input_value(0).get_node().get_type_name()
    assert last == ("Transpose" if fits else "Add")
    np.testing.assert_allclose(_compute(model, values), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("hiding", "after", "same", "dropped"),
    [
        (-1e9, 0.0, True, True),
        (-1.0, 0.0, True, False),
        (-1e9, 0.5, True, False),
        (-1e9, 0.0, False, False),
    ],
)
def test_a_mask_after_a_softmax_is_dropped_where_it_changes_nothing(
    *, hiding: float, after: float, same: bool, dropped: bool
) -> None:
    """Only if the same mask hid the same places before the softmax."""
    source = operation.parameter([-1, 4], np.float32)
    mask = operation.less(source, np.float32(1.0))
    other = mask if same else operation.less(source, np.float32(0.5))
    softmax = operation.softmax(operation.select(mask, source, np.float32(hiding)), 1)
    model = ov.Model([operation.select(other, softmax, np.float32(after))], [source])
    values = np.array([[0.1, 0.7, 3.0, 0.2], [-1.0, 2.0, 0.6, 5.0]], dtype=np.float32)
    expected = _compute(model, values)
    drop_masks_after_softmax(model)
    assert [node.get_type_name() for node in model.get_ops()].count("Select") == (1 if dropped else 2)
    np.testing.assert_array_equal(_compute(model, values), expected)


def _product(*, transpose: bool = False, outputs: int = 96) -> tuple[ov.Model, Float32Array]:
    source = operation.parameter([-1, 128], np.float32)
    weights = RNG.normal(size=(128, outputs)).astype(np.float32)
    kept = operation.constant(np.ascontiguousarray(weights.T) if transpose else weights)
    product = operation.matmul(source, kept, transpose_a=False, transpose_b=transpose)
    return ov.Model([product], [source]), weights


@pytest.mark.parametrize("transpose", [False, True])
def test_weights_are_rounded_within_half_a_step_of_their_output_s_scale(*, transpose: bool) -> None:
    """Whichever way round they are kept; the model that is rounded is a copy."""
    model, weights = _product(transpose=transpose)
    values = np.eye(128, dtype=np.float32)
    rounded = model.clone()
    round_weights(rounded)
    steps = np.abs(weights).max(axis=0) / 127
    assert (np.abs(_compute(rounded, values) - weights) <= steps / 2 * 1.01).all()
    np.testing.assert_allclose(_compute(model, values), weights, rtol=1e-5)


def test_a_small_product_stays_exact() -> None:
    """The head decides much and costs little."""
    model, _ = _product(outputs=6)
    round_weights(model)
    assert "Convert" not in _kinds(model)


def test_a_row_s_result_doesn_t_depend_on_what_shares_its_batch() -> None:
    """Even beside a row of other size, scales are a row's own."""
    model, _ = _product()
    values = RNG.normal(size=(7, 128)).astype(np.float32)
    values[3] *= 1000
    together = _compute(model, values, Precision.INT8)
    alone = np.concatenate([_compute(model, row[np.newaxis], Precision.INT8) for row in values])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)

"""Rewrite a model for OpenVINO: to the same function, in a form that OpenVINO computes faster.

The patterns are those that Keras writes and that OpenVINO doesn't optimise by itself. Importing this module
imports OpenVINO.

Invariant: a rewritten model gives the same scores except for rounding; parts that fit no pattern stay.
"""

from collections.abc import Callable
from math import prod

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as operation
from openvino.passes import AnyInput, Manager, Matcher, MatcherPass, WrapType

_LEAST_SIDE = 64
"""Weights with a shorter side, such as the head's, stay in float32: they cost little and decide much."""
_INT8_MAX = 127
_HIDING = -1e8
"""A value of this or less before a softmax is exactly 0 after it, if any other value remains."""

Found = Callable[[WrapType], ov.Output]
"""Returns the output that matched a part of a pattern."""


def rewrite(model: ov.Model) -> None:
    """Apply every rewrite of this module, in place, except rounding."""
    turn_einsums_into_products(model)
    turn_transposed_products(model)
    fuse_layer_norms(model)
    add_biases_to_products(model)
    drop_masks_after_softmax(model)


def turn_einsums_into_products(model: ov.Model) -> None:
    """Replace, in place, each Einsum that is a product with weights by a MatMul, which is faster.

    Keras writes the projections around attention as `abc,cde->abde` and `abcd,cde->abe`.
    """
    for node in model.get_ordered_ops():
        weights = _weights(node) if node.get_type_name() == "Einsum" else None
        if weights is None:
            continue
        equation = node.get_attributes()["equation"].replace(" ", "")
        axes = _contracted_axes(equation)
        if not axes:
            continue
        source = node.input_value(0)
        kept = equation.index(",") - axes
        matrix = weights.reshape(prod(weights.shape[:axes]), -1)
        if axes > 1:
            source = operation.reshape(source, [0] * kept + [len(matrix)], special_zero=True).output(0)
        product = operation.matmul(source, operation.constant(matrix), transpose_a=False, transpose_b=False)
        if weights.ndim - axes > 1:
            shape = [0] * kept + list(weights.shape[axes:])
            product = operation.reshape(product, shape, special_zero=True)
        node.output(0).replace(product.output(0))
    model.validate_nodes_and_infer_types()


def turn_transposed_products(model: ov.Model) -> None:
    """Replace, in place, each transposed product by the product of its transposed sides.

    Keras computes attention as keys by queries and transposes it: a tenth of the time of long texts.
    """
    for node in model.get_ordered_ops():
        product = node.input_value(0).get_node() if node.get_type_name() == "Transpose" else None
        if product is None or product.get_type_name() != "MatMul":
            continue
        order = node.input_value(1).get_node()
        rank = product.output(0).get_partial_shape().rank
        if order.get_type_name() != "Constant" or rank.is_dynamic:
            continue
        *kept, before_last, last = range(rank.get_length())
        if order.data.tolist() == [*kept, last, before_last]:
            turned = product.get_attributes()
            left, right = (product.input_value(side) for side in (1, 0))
            swapped = operation.matmul(
                left, right, transpose_a=not turned["transpose_b"], transpose_b=not turned["transpose_a"]
            )
            node.output(0).replace(swapped.output(0))
    model.validate_nodes_and_infer_types()


def fuse_layer_norms(model: ov.Model) -> None:
    """Replace, in place, each layer normalisation that Keras writes out by one operation.

    Keras writes it as x * (gamma / deviation) + (beta - mean * gamma / deviation), in ten steps.
    """
    data, axes, same_axes = AnyInput(), _constant(), _constant()
    epsilon, power, gamma, beta = _constant(), _constant(), _constant(), _constant()
    mean = _node("ReduceMean", data, axes)
    variance = _node("ReduceMean", _node("SquaredDifference", data, mean), same_axes)
    slope = _node("Multiply", _node("Power", _node("Add", variance, epsilon), power), gamma)
    shift = _node("Add", _node("Multiply", _node("Negative", mean), slope), beta)
    whole = _node("Add", _node("Multiply", data, slope), shift)

    def fused(found: Found) -> ov.Node | None:
        added = _values(found(epsilon))
        fits = _values(found(power)) == [-0.5] and _values(found(axes)) == _values(found(same_axes))
        if not fits or len(added) != 1:
            return None
        normal = operation.mvn(
            found(data), found(axes), normalize_variance=True, eps=added[0], eps_mode="inside_sqrt"
        )
        return operation.add(operation.multiply(normal, found(gamma)), found(beta))

    _replace(model, whole, fused)


def add_biases_to_products(model: ov.Model) -> None:
    """Move, in place, a bias that is added after splitting and transposing heads to the product itself.

    OpenVINO adds it there as part of the product, without reading the result once more.
    """
    weights, parting, order, bias = _constant(), _constant(), _constant(), _constant()
    product = _node("MatMul", AnyInput(), weights)
    parted = _node("Reshape", product, parting)
    whole = _node("Add", _node("Transpose", parted, order), bias)

    def moved(found: Found) -> ov.Node | None:
        turn, added, parts = _data(found(order)), _data(found(bias)), _data(found(parting)).tolist()
        outputs = found(product).get_partial_shape()[-1]
        if added.ndim != len(turn) or outputs.is_dynamic:
            return None
        before = np.transpose(added, np.argsort(turn))
        # Zeros keep axes of the product; the rest are its outputs, each with one number.
        kept = parts.count(0)
        if list(before.shape) != [1] * kept + parts[kept:] or before.size != outputs.get_length():
            return None
        summed = operation.add(found(product), operation.constant(before.reshape(-1)))
        return operation.transpose(operation.reshape(summed, found(parting), special_zero=True), found(order))

    _replace(model, whole, moved)


def drop_masks_after_softmax(model: ov.Model) -> None:
    """Remove, in place, a mask that sets to 0 what the softmax before it already made 0.

    Keras masks attention before the softmax and after it. The second mask changes only a text without any
    token, which the contract doesn't allow.
    """
    mask, hiding, zero = AnyInput(), _constant(), _constant()
    softmax = _node("Softmax", _node("Select", mask, AnyInput(), hiding))
    whole = _node("Select", mask, softmax, zero)

    def without(found: Found) -> ov.Node | None:
        hidden = max(_values(found(hiding))) <= _HIDING and set(_values(found(zero))) == {0.0}
        return found(softmax).get_node() if hidden else None

    _replace(model, whole, without)


def round_weights(model: ov.Model) -> None:
    """Round, in place, the weights of products to 8 bits, with one scale per output."""
    for node in model.get_ordered_ops():
        weights = _weights(node) if node.get_type_name() == "MatMul" else None
        if weights is None or weights.ndim != 2 or min(weights.shape) < _LEAST_SIDE:  # noqa: PLR2004  a matrix
            continue
        rows = weights if node.get_attributes()["transpose_b"] else weights.T
        scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / _INT8_MAX
        rounded = np.rint(rows / scales).astype(np.int8)
        unpacked = operation.multiply(
            operation.convert(operation.constant(np.ascontiguousarray(rounded)), np.float32),
            operation.constant(scales.astype(np.float32)),
        )
        turned = node.get_attributes()["transpose_a"]
        product = operation.matmul(node.input_value(0), unpacked, transpose_a=turned, transpose_b=True)
        node.output(0).replace(product.output(0))
    model.validate_nodes_and_infer_types()


def _contracted_axes(equation: str) -> int:
    """Return the number of axes, the left's last and the right's first, that a matrix product contracts.

    0 if it isn't one, or has an ellipsis.
    """
    sides, _, result = equation.partition("->")
    left, _, right = sides.partition(",")
    for axes in range(1, 0 if "." in equation else len(right)):
        if left.endswith(right[:axes]) and result == left[:-axes] + right[axes:]:
            return axes
    return 0


def _weights(product: ov.Node) -> NDArray[np.float32] | None:
    """Return the constant on the right of a product of two, or None."""
    if product.get_input_size() != 2:  # noqa: PLR2004  two
        return None
    right = product.input_value(1).get_node()
    if right.get_type_name() != "Constant":
        return None
    data: NDArray[np.float32] = right.data
    return data


def _constant() -> WrapType:
    return WrapType("opset13.Constant")


def _node(kind: str, *inputs: WrapType) -> WrapType:
    return WrapType(f"opset13.{kind}", list(inputs))


def _data(output: ov.Output) -> NDArray[np.float32]:
    data: NDArray[np.float32] = output.get_node().data
    return data


def _values(output: ov.Output) -> list[float]:
    return [float(value) for value in _data(output).flat]


def _replace(model: ov.Model, pattern: WrapType, make: Callable[[Found], ov.Node | None]) -> None:
    """Replace every match of a pattern by the node that `make` returns; None keeps the match."""

    class Replacing(MatcherPass):  # type: ignore[misc]  # OpenVINO's passes have no types
        def __init__(self) -> None:
            super().__init__()
            self.register_matcher(Matcher(pattern, make.__qualname__), self._on_match)

        def _on_match(self, matcher: Matcher) -> bool:
            matched = matcher.get_pattern_value_map()
            made = make(lambda part: matched[part])
            if made is None:
                return False
            matcher.get_match_root().output(0).replace(made.output(0))
            return True

    manager = Manager()
    manager.register_pass(Replacing())
    manager.run_passes(model)
    model.validate_nodes_and_infer_types()

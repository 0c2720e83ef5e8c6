"""An exported network -> one whose large convolutions are stored, and run, as int8.

Knows no film: what goes through the network is given by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

_LARGE = 4096
"""Weights of a layer from which it is worth storing them as int8."""
_LEVELS = 256
_USED = 127
"""Highest of the 256 levels that inputs take but rarely exceed. Processors without dot products of int8 (AVX2) add two
products in 16 bits: 2 x 127 x 127 fits, 2 x 255 x 127 would not."""
_RARE = 0.01
"""Percent."""


def int8_weights(model: openvino.Model) -> None:
    """Store the weights of large convolutions as int8 with a scale per output channel."""
    for layer in model.get_ordered_ops():
        if layer.get_type_name() != "Convolution":
            continue
        source = layer.input_value(1).get_node()
        if source.get_type_name() != "Constant" or source.get_data().size < _LARGE:
            continue
        weights = source.get_data().astype(np.float32)
        scale = np.abs(weights).max(tuple(range(1, weights.ndim)), keepdims=True) / 127 + np.float32(1e-12)
        stored = ops.constant(np.round(weights / scale).astype(np.int8))
        restored = ops.multiply(ops.convert(stored, np.float32), ops.constant(scale.astype(np.float32)))
        layer.input(1).replace_source_output(restored.output(0))


def int8_arithmetic(model: openvino.Model, inputs: Iterable[NDArray[np.float32]]) -> None:
    """Let the convolutions with int8 weights take int8 inputs too, so that they run in int8 arithmetic.

    inputs  of the model, as when serving: what flows between its layers for them decides the ranges
    """
    readers: dict[tuple[str, int], list[Any]] = {}
    for layer in model.get_ordered_ops():
        if _has_int8_weights(layer):
            source = layer.input_value(0)
            readers.setdefault((source.get_node().friendly_name, source.get_index()), []).append(layer)
    sources = [layers[0].input_value(0) for layers in readers.values()]
    for source, layers, seen in zip(sources, readers.values(), _ranges(model, sources, inputs), strict=True):
        quantised = _quantised(source, *seen)
        for layer in layers:
            layer.input(0).replace_source_output(quantised)


def _has_int8_weights(layer: openvino.Node) -> bool:
    """Say whether a layer is a convolution of which `int8_weights` stored the weights."""
    if layer.get_type_name() != "Convolution":
        return False
    return str(layer.input_value(1).get_node().get_type_name()) == "Multiply"


def _ranges(
    model: openvino.Model, sources: Sequence[Any], inputs: Iterable[NDArray[np.float32]]
) -> list[tuple[float, float]]:
    """Return the range of each source, 0 within it: what all but `_RARE` % of its values on each side take, mean over
    the inputs."""
    probe = openvino.Model([ops.result(source) for source in sources], model.get_parameters(), "probe")
    compiled = openvino.Core().compile_model(probe, "CPU", {"INFERENCE_NUM_THREADS": 1})
    seen = []
    for given in inputs:
        values = compiled(given)
        seen.append([np.percentile(values[number], (_RARE, 100 - _RARE)) for number in range(len(sources))])
    low, high = np.mean(seen, 0).T
    return list(zip(np.minimum(low, 0).tolist(), np.maximum(high, 1e-6).tolist(), strict=True))


def _quantised(source: Any, low: float, high: float) -> Any:
    """Return an output in steps of which `_USED` span its range, one of them exactly 0; the levels above are for rarer
    values."""
    step = (high - low) / _USED
    zero = round(-low / step)
    lowest, highest = (ops.constant(np.float32(end * step)) for end in (-zero, _LEVELS - 1 - zero))
    return ops.fake_quantize(source, lowest, highest, lowest, highest, _LEVELS).output(0)

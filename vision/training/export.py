"""Trained networks -> weights that OpenVINO serves, with the golden scores they must reproduce."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from torch import nn

from vision.card import WEIGHTS
from vision.training.network import ChestNetwork, ExportedEnsemble

_LARGE = 4096
"""Weights of a layer from which it is worth storing them as int8."""
OUTPUTS = ("logits", "maps", "embedding")


def export(members: Sequence[ChestNetwork], size: int, folder: Path, *, views: int = 1, small: bool = True) -> None:
    """Write model.xml and model.bin of an ensemble: input [views, 3, size, size].

    views  of a film; as many members look at each, in order
    small  the large weights as int8 with a scale per output channel, half of the size of fp16
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = [views, 3, size, size]
    model = converted(ExportedEnsemble(members, views), shape)
    for number, name in enumerate(OUTPUTS):
        model.output(number).get_tensor().set_names({name})
    if small:
        as_int8(model)
    openvino.save_model(model, folder / WEIGHTS[0], compress_to_fp16=True)


def converted(module: nn.Module, shape: Sequence[int]) -> openvino.Model:
    """Return a module as OpenVINO runs it, in evaluation mode; -1 in `shape` is a dimension of any length."""
    example = torch.zeros([2 if length < 0 else length for length in shape])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        return openvino.convert_model(module.eval(), example_input=example, input=list(shape))


def as_int8(model: openvino.Model) -> None:
    """Store the weights of large convolutions as int8 with a scale per output channel; arithmetic stays as it was."""
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

"""Trained networks -> weights that OpenVINO serves, with the golden scores they must reproduce."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import nn

from vision.card import WEIGHTS
from vision.training.network import ChestNetwork, ExportedEnsemble
from vision.training.quantise import int8_arithmetic, int8_weights

OUTPUTS = ("logits", "maps", "embedding")


def export(
    members: Sequence[ChestNetwork],
    size: int,
    folder: Path,
    *,
    views: int = 1,
    inputs: Iterable[NDArray[np.float32]] | None = None,
) -> None:
    """Write model.xml and model.bin of an ensemble: input [views, 3, size, size], the large weights as int8.

    views   of a film; as many members look at each, in order
    inputs  of some films, by which large convolutions are made to run in int8 too; None: they run in floats
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = [views, 3, size, size]
    model = converted(ExportedEnsemble(members, views), shape)
    for number, name in enumerate(OUTPUTS):
        model.output(number).get_tensor().set_names({name})
    int8_weights(model)
    if inputs is not None:
        int8_arithmetic(model, inputs)
    openvino.save_model(model, folder / WEIGHTS[0], compress_to_fp16=True)


def converted(module: nn.Module, shape: Sequence[int]) -> openvino.Model:
    """Return a module as OpenVINO runs it, in evaluation mode; -1 in `shape` is a dimension of any length."""
    example = torch.zeros([2 if length < 0 else length for length in shape])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        return openvino.convert_model(module.eval(), example_input=example, input=list(shape))

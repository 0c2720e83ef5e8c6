"""Trained networks -> weights that OpenVINO serves, with the golden scores they must reproduce."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import openvino
import torch
from torch import nn

from vision.card import WEIGHTS
from vision.training.network import ChestNetwork, ExportedEnsemble

OUTPUTS = ("logits", "maps", "embedding")


def export(members: Sequence[ChestNetwork], size: int, folder: Path) -> None:
    """Write model.xml and model.bin of an ensemble: weights as fp16, input [1, 3, size, size]."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = [1, 3, size, size]
    model = converted(ExportedEnsemble(members), shape)
    for number, name in enumerate(OUTPUTS):
        model.output(number).get_tensor().set_names({name})
    openvino.save_model(model, folder / WEIGHTS[0], compress_to_fp16=True)


def converted(module: nn.Module, shape: Sequence[int]) -> openvino.Model:
    """Return a module as OpenVINO runs it, in evaluation mode; -1 in `shape` is a dimension of any length."""
    example = torch.zeros([2 if length < 0 else length for length in shape])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        return openvino.convert_model(module.eval(), example_input=example, input=list(shape))

"""Trained networks -> weights that OpenVINO serves, with the golden scores they must reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openvino
import torch

from vision.card import WEIGHTS
from vision.training.network import ChestNetwork, ExportedEnsemble

OUTPUTS = ("logits", "maps", "embedding", "members")


def export(members: Sequence[ChestNetwork], size: int, folder: Path) -> None:
    """Write model.xml and model.bin of an ensemble: weights as fp16, input [1, 3, size, size]."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = [1, 3, size, size]
    model = openvino.convert_model(ExportedEnsemble(members).eval(), example_input=torch.zeros(*shape), input=shape)
    for number, name in enumerate(OUTPUTS):
        model.output(number).get_tensor().set_names({name})
    openvino.save_model(model, folder / WEIGHTS[0], compress_to_fp16=True)

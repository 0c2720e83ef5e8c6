"""The weights of a model folder, verified by its card and ready to run. Knows no film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino

from vision.card import WEIGHTS, CardOfWeights, verify_files
from vision.errors import ModelVerificationError


def compiled(folder: Path, card: CardOfWeights, threads: int, **settings: Any) -> openvino.CompiledModel:
    """Return the network of a folder.

    settings  of OpenVINO, beside the number of threads

    Raises ModelVerificationError when a file of weights is absent, is not the one of the card, or does not load.
    """
    verify_files(folder, card)
    given = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **settings}
    try:
        return openvino.Core().compile_model(folder / WEIGHTS[0], "CPU", given)
    except RuntimeError as error:
        raise ModelVerificationError(f"{card.id}: the weights do not load ({type(error).__name__})") from None

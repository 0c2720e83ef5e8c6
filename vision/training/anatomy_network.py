"""A light U-Net over EfficientNet-lite0 that outlines lungs and heart, and its ensemble, as it is exported."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from vision.training.backbone import pretrained

STRUCTURES = 4
"""Background, the lung on the left of the picture, the one on its right, heart."""
_QUARTER, _EIGHTH, _SIXTEENTH = 3, 5, 11
"""Blocks of the backbone after which its features are a quarter, an eighth and a sixteenth of the input's side."""

_NAMES_WHEN_MIRRORED = [0, 2, 1, 3]
"""The lungs are named by the side of the picture, so they change places."""


class FixedEncoder(nn.Module):  # type: ignore[misc]
    """The stem and the first blocks with their ImageNet weights, never trained and shared by an ensemble.

    forward: images [N, 3, H, W] -> [N, 24, H/4, W/4] and [N, 40, H/8, W/8]
    """

    def __init__(self, backbone: EfficientNet) -> None:
        super().__init__()
        self.convolution, self.normal, self.activation = backbone._conv_stem, backbone._bn0, backbone._swish
        self.quarter = nn.Sequential(*list(backbone._blocks)[:_QUARTER])
        self.eighth = nn.Sequential(*list(backbone._blocks)[_QUARTER:_EIGHTH])
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> FixedEncoder:
        """Stay in evaluation mode: the statistics are fixed too."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        quarter = self.quarter(self.activation(self.normal(self.convolution(images))))
        return quarter, self.eighth(quarter)


class AnatomyNetwork(nn.Module):  # type: ignore[misc]
    """Backbone down to a sixteenth of the input, then up again to half of it.

    forward: images [N, 3, H, W] -> logits [N, STRUCTURES, H/2, W/2]
    """

    def __init__(self) -> None:
        super().__init__()
        backbone = pretrained()
        self.early = FixedEncoder(backbone)
        self.deep = nn.Sequential(*list(backbone._blocks)[_EIGHTH:_SIXTEENTH])
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(112, 64, 1), nn.ReLU())
        self.bottom = _layer(112, 64, 1)
        self.eighth = _layer(64 + 40, 64, 3)
        self.quarter = _layer(64 + 24, 40, 3)
        self.head = nn.Conv2d(40, 4 * STRUCTURES, 3, padding=1)

    def outline(self, quarter: Tensor, eighth: Tensor) -> Tensor:
        """Return what is trained: logits from the features of the fixed layers."""
        deep = self.deep(eighth)
        up = self.eighth(torch.cat([_doubled(self.bottom(deep) + self.whole(deep)), eighth], 1))
        up = self.quarter(torch.cat([_doubled(up), quarter], 1))
        logits: Tensor = nn.functional.pixel_shuffle(self.head(up), 2)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.outline(*self.early(images))


class ExportedAnatomy(nn.Module):  # type: ignore[misc]
    """Several trained networks as one, over the fixed layers that they share; each sees the mirrored film as well.

    forward: images [1, 3, H, W] -> shares [1, M, STRUCTURES, H/2, W/2] of each member, adding up to 1
    """

    def __init__(self, members: Sequence[AnatomyNetwork]) -> None:
        super().__init__()
        self.early = members[0].early
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        early = self.early(torch.cat([images, images.flip(-1)]))
        shares = torch.stack([member.outline(*early).softmax(1) for member in self.members], 1)
        return (shares[:1] + shares[1:, :, _NAMES_WHEN_MIRRORED].flip(-1)) / 2


def _layer(given: int, made: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, width, padding=width // 2, bias=False), nn.BatchNorm2d(made), nn.ReLU())


def _doubled(features: Tensor) -> Tensor:
    return nn.functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)

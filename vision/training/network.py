"""EfficientNet-lite0 with one linear head, as it is trained, and its ensemble, as it is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from vision.training.backbone import pretrained

FEATURES = 1280
BLOCKS = 16
"""Of the whole trunk; a whole one ends in the last convolution with its `FEATURES`."""
SHARPNESS = 3.0
"""Of the smooth maximum log(mean(exp(sharpness * map))) / sharpness."""


@dataclass(frozen=True)
class Trunk:
    """How much of EfficientNet-lite0 a network has, and how much of that stays as ImageNet left it.

    fixed   blocks that are never trained and that the members of an ensemble share; all of them: the last convolution
            too, so that only heads are trained
    blocks  that are used; fewer than all: the map is finer and there is less to overfit
    """

    fixed: int = 3
    blocks: int = BLOCKS

    @property
    def whole(self) -> bool:
        return self.blocks == BLOCKS


WHOLE = Trunk()


class _LastConvolution(nn.Module):  # type: ignore[misc]
    """forward: [N, 320, h, w] -> [N, 1280, h, w]"""

    def __init__(self, backbone: EfficientNet) -> None:
        super().__init__()
        self.convolution, self.normal, self.activation = backbone._conv_head, backbone._bn1, backbone._swish

    def forward(self, features: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.normal(self.convolution(features)))
        return activated


class EarlyLayers(nn.Module):  # type: ignore[misc]
    """The stem and the first blocks with their ImageNet weights, never trained: edges are edges on any film.

    They hold most of the activations, so leaving them as they are makes training several times cheaper, and the
    members of an ensemble share them when serving.

    forward: images [N, 3, H, W] -> [N, 24, H/4, W/4] with three blocks
    """

    def __init__(self, backbone: EfficientNet, trunk: Trunk) -> None:
        super().__init__()
        self.convolution, self.normal, self.activation = backbone._conv_stem, backbone._bn0, backbone._swish
        self.blocks = nn.ModuleList(list(backbone._blocks)[: trunk.fixed])
        self.last = _LastConvolution(backbone) if trunk.fixed == BLOCKS else nn.Identity()
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> EarlyLayers:
        """Stay in evaluation mode: the statistics are fixed too."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.activation(self.normal(self.convolution(images)))
        for block in self.blocks:
            features = block(features)
        last: Tensor = self.last(features)
        return last


class ChestNetwork(nn.Module):  # type: ignore[misc]
    """ImageNet-pretrained EfficientNet-lite0 with a linear head, and one more that learns the boxes of radiologists.

    labels  number of findings
    trunk   of EfficientNet-lite0
    boxed   whether the first finding is served from the head that learned its boxes: it is seen in one place, so its
            logit is the smooth maximum of its map; that of the others is the mean of theirs

    forward: images [N, 3, H, W] -> logits [N, K]
    """

    def __init__(
        self, labels: int, *, boxed: bool, trunk: Trunk = WHOLE, dropout: float = 0.3, stochastic_depth: float = 0.1
    ) -> None:
        super().__init__()
        backbone = pretrained()
        self.early = EarlyLayers(backbone, trunk)
        self.blocks = nn.ModuleList(list(backbone._blocks)[trunk.fixed : trunk.blocks])
        if trunk.whole and trunk.fixed < BLOCKS:
            self.convolution, self.normal, self.activation = backbone._conv_head, backbone._bn1, backbone._swish
        features = FEATURES if trunk.whole else backbone._blocks[trunk.blocks - 1]._project_conv.out_channels
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, labels)
        self.place = nn.Conv2d(features, 1, 1)
        self.boxed = boxed
        self.stochastic_depth = stochastic_depth

    def late(self, early: Tensor) -> Tensor:
        """Return the last feature map [N, C, h, w] from the output of the early layers; C is 1280 of a whole trunk."""
        features = early
        for number, block in enumerate(self.blocks):
            rate = self.stochastic_depth * (number + self.trunk.fixed) / self.trunk.blocks
            features = block(features, drop_connect_rate=rate)
        if not self.trunk.whole or self.trunk.fixed == BLOCKS:
            return features
        activated: Tensor = self.activation(self.normal(self.convolution(features)))
        return activated

    def read(self, early: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is trained: logits [N, K] of the whole film and [N, h, w] of the boxes of the first finding."""
        features = self.late(early)
        logits: Tensor = self.head(self.dropout(features.mean((2, 3))))
        return logits, self.place(features)[:, 0]

    def maps(self, features: Tensor) -> Tensor:
        """Return what is served: maps [N, K, h, w] of the last feature map."""
        plain = nn.functional.conv2d(features, self.head.weight[:, :, None, None], self.head.bias)
        return torch.cat([self.place(features), plain[:, 1:]], 1) if self.boxed else plain

    def pooled(self, maps: Tensor) -> Tensor:
        """Return the logits [N, K] of maps."""
        flat = maps.flatten(2)
        mean = flat.mean(2)
        if not self.boxed:
            return mean
        sharp = flat[:, :1] * SHARPNESS
        smooth = torch.logsumexp(sharp, 2) - torch.logsumexp(torch.zeros_like(sharp), 2)
        return torch.cat([smooth / SHARPNESS, mean[:, 1:]], 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.pooled(self.maps(self.late(self.early(images))))


class ExportedEnsemble(nn.Module):  # type: ignore[misc]
    """Several trained networks as one, over the early layers that they share.

    views  of one film; as many members look at each, in order

    forward: images [N, 3, H, W], with several views those of one film -> logits [N, M, K] and maps [N, M, K, h, w] of
    each member, embedding [N, C] of the first; N is 1 with several views
    """

    def __init__(self, members: Sequence[ChestNetwork], views: int = 1) -> None:
        super().__init__()
        self.views = views
        self.early = members[0].early
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        early = self.early(images)
        seen_by = [self._seen(early, number) for number in range(len(self.members))]
        features = [member.late(seen) for member, seen in zip(self.members, seen_by, strict=True)]
        maps = [member.maps(seen) for member, seen in zip(self.members, features, strict=True)]
        logits = [member.pooled(some) for member, some in zip(self.members, maps, strict=True)]
        return torch.stack(logits, 1), torch.stack(maps, 1), features[0].mean((2, 3))

    def _seen(self, early: Tensor, member: int) -> Tensor:
        """Return what a member looks at: the films, or its view of the one film."""
        if self.views == 1:
            return early
        view = member * self.views // len(self.members)
        return early[view : view + 1]

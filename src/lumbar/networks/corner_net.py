"""A small U-Net that looks at every corner at the film's resolution, and tells each what the others show: ours, beyond the paper.

How a patient is turned and tilted to the beam shows at all corners, at some more clearly than at others. So between the two halves of the
U-Net the corners of a film attend to one another, as words of a sentence do (Vaswani 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lumbar.anatomy import LANDMARKS
from lumbar.landmarks.corner_view import INPUTS, SIZE
from lumbar.networks.small_unet import SmallUNet

WIDTHS = (24, 40, 64, 96)
TOKEN, HEADS, LAYERS = 96, 4, 2
CORNERS = len(LANDMARKS)
_CELLS = WIDTHS[-1] * (SIZE // 16) ** 2
_UNHEARD = -1e4  # what a corner that is not there scores before the softmax


class CornerNet(SmallUNet):
    """The corners of films (B, 22, 4, S, S), as `landmarks.corner_view` cuts them -> maps (B, 22, S/2, S/2) before the softmax.

    A corner that is not there is all 0: nobody hears of it, and its map says nothing.
    """

    def __init__(self) -> None:
        super().__init__(INPUTS, WIDTHS, 1)
        self.tell = nn.Linear(_CELLS, TOKEN)
        self.which = nn.Parameter(0.1 * torch.randn(CORNERS, TOKEN))
        self.layers = nn.ModuleList(Attention(TOKEN, HEADS) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(TOKEN)
        self.hear = nn.Linear(TOKEN, _CELLS)
        nn.init.zeros_(self.hear.weight)  # at first every corner is seen by itself
        nn.init.zeros_(self.hear.bias)

    def forward(self, films: Tensor) -> Tensor:
        """The maps."""
        corners = films.reshape(-1, INPUTS, SIZE, SIZE)
        there = (corners[:, -1, 0, 0] != 0).reshape(-1, CORNERS)
        features = self.features(corners)
        tokens = self.tell(features[-1].flatten(1)).reshape(-1, CORNERS, TOKEN) + self.which
        unheard = torch.where(there, 0.0, _UNHEARD)[:, None, None, :]
        for layer in self.layers:
            tokens = layer(tokens, unheard)
        heard = self.hear(self.norm(tokens).reshape(-1, TOKEN))
        features[-1] = features[-1] + heard.reshape(features[-1].shape)
        return self.maps_of(features).reshape(-1, CORNERS, SIZE // 2, SIZE // 2)


class Attention(nn.Module):
    """One encoder layer of a transformer, normalised beforehand (Xiong 2020). Linear layers see rows, so that an export keeps their names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asks_and_answers, self.together = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor, unheard: Tensor) -> Tensor:
        """From tokens (B, N, width) to as many; unheard (B, 1, 1, N) is added to the scores."""
        count, width = tokens.shape[1:]
        each = width // self.heads
        x = tokens.reshape(-1, width)
        parts = self.asks_and_answers(self.attention_norm(x)).reshape(-1, count, 3, self.heads, each)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(each) + unheard).softmax(dim=-1)
        x = x + self.together((weights @ value).transpose(1, 2).reshape(-1, width))
        x = x + self.narrow(F.gelu(self.widen(self.norm(x))))
        return torch.as_tensor(x.reshape(-1, count, width))

"""The layer of an encoder (Vaswani et al. 2017, section 3.1), as translation and BERT have it."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from workflow_scripts.models.language.attention import Attention


class FeedForward(nn.Module):
    """Two FC layers with a function between them, on each vector (..., width); `dropout` is of the inner units."""

    def __init__(self, width: int, ffn: int, dropout: float, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.inner, self.outer, self.dropout = nn.Linear(width, ffn), nn.Linear(ffn, width), dropout
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(F.dropout(self.function(self.inner(x)), self.dropout, self.training))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each added to its input and then normalised.

    Parameters
    ----------
    dropout, attention, activation : of the sublayers' outputs, the attention weights and the feed-forward units.
    function, epsilon : between both FC layers, and of the normalisation.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        ffn: int,
        dropout: float,
        attention: float,
        activation: float = 0.0,
        function: Callable[[Tensor], Tensor] = F.relu,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        self.dropout = dropout
        self.attention, self.attention_norm = Attention(width, heads, attention), nn.LayerNorm(width, epsilon)
        self.feed_forward, self.norm = FeedForward(width, ffn, activation, function), nn.LayerNorm(width, epsilon)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(b, s, width) to the same; mask as in `Attention`."""
        x = self.attention_norm(x + self._dropped(self.attention(x, mask=mask)))
        return self.norm(x + self._dropped(self.feed_forward(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

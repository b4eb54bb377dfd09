"""Multi-head attention (Vaswani et al. 2017, section 3.2), the one layer that both language networks are made of."""

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from workflow_scripts.base.errors import InputError


class Attention(nn.Module):
    """Attention of a sequence to itself or to another one.

    Queries, keys and values have parameters of their own: LAMB scales the update of each of them by its own norm.

    Parameters
    ----------
    width : numbers in a token's vector. heads : divides it. dropout : probability of dropping an attention weight.

    Raises
    ------
    InputError : the width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        if width % heads:
            raise InputError(f"a width of {width} cannot be divided among {heads} heads; choose a multiple of them")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None, causal: bool = False):
        """Attend from x (b, t, width) to memory (b, s, width), or to x itself; gives (b, t, width).

        Parameters
        ----------
        mask : boolean, broadcast to (b, heads, t, s); True where a query may look. None hides nothing.
        causal : hide what comes after a query's own place; without a mask alone.
        """
        return self.attend(x, *self.keys_and_values(x if memory is None else memory), mask, causal)

    def keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What (b, s, width) gives to be looked at, (b, heads, s, width / heads) each: may be kept and used again."""
        return self._split(self.key(memory)), self._split(self.value(memory))

    def attend(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False):
        """As `forward`, to keys and values that `keys_and_values` gave."""
        found = scaled_dot_product_attention(
            self._split(self.query(x)), keys, values, mask, self.dropout if self.training else 0.0, causal
        )
        return self.output(found.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def seen(tokens: Tensor, pad: int) -> Tensor | None:
    """The mask (b, 1, 1, s) that hides padding in `tokens` (b, s); None on a CPU where there is none to hide."""
    real = tokens != pad
    if tokens.device.type == "cpu" and real.all():  # a GPU would have to wait for the answer
        return None
    return real[:, None, None]

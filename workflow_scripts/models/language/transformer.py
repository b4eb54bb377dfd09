"""The translation transformer (Vaswani et al. 2017) as fairseq trains it: post-norm, scaled embeddings, no output bias.

Tokens are numbered as in datasets/text/pieces.py. Every target begins with the end mark of the one before, fairseq's
way, so what is read is the target moved by one place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.pieces import END, PAD
from workflow_scripts.models.language.attention import Attention, seen
from workflow_scripts.models.language.layers import EncoderLayer

SHARES = ("none", "decoder", "all")
# Of the positions: fairseq's frequencies and first number, and those of Marian and of the paper.
POSITIONS = {"fairseq": (lambda half: half - 1, PAD + 1), "marian": (lambda half: half, 0)}


def transformer(info, **options) -> "Transformer":
    """The network for a parallel text; `info.vocabulary` has the number of tokens of "source" and of "target"."""
    return Transformer(info.vocabulary["source"], info.vocabulary["target"], **options)


class Transformer(nn.Module):
    """An encoder and a decoder.

    Parameters
    ----------
    source_vocabulary, target_vocabulary : numbers of tokens.
    encoder_layers, decoder_layers, width, heads, ffn : sizes; those of iyer2020's WMT runs by default. Its IWSLT runs
        have 4 heads and 1,024 units of a feed-forward layer.
    dropout : of embeddings and sublayers. attention_dropout : of attention weights. activation_dropout : of the units
        of feed-forward layers.
    share : embeddings that are one matrix: those of the decoder's input and output ("decoder"), also the source's
        ("all", for one dictionary), or "none".
    positions : "fairseq" (exponent i / (half - 1), the first place is number 2) or "marian" (i / half, from 0).

    Raises
    ------
    InputError : an option makes no sense.
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        width: int = 512,
        heads: int = 8,
        ffn: int = 2048,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        share: str = "decoder",
        positions: str = "fairseq",
    ):
        super().__init__()
        if share not in SHARES or positions not in POSITIONS:
            raise InputError(f"share is one of {', '.join(SHARES)}, and positions of {', '.join(POSITIONS)}")
        if width % 2 or width < 4:
            raise InputError(f"a width of {width} has no room for positions; choose an even number from 4 on")
        if share == "all" and source_vocabulary != target_vocabulary:
            raise InputError(
                f"a source of {source_vocabulary} tokens and a target of {target_vocabulary} cannot share all "
                "embeddings; prepare the text with one joined dictionary"
            )
        self.width, self.dropout, self.positions = width, dropout, positions
        self.target_embedding = nn.Embedding(target_vocabulary, width, PAD)
        # Each matrix is registered once, so that a checkpoint holds it once.
        self.source_embedding = None if share == "all" else nn.Embedding(source_vocabulary, width, PAD)
        self.output_embedding = nn.Embedding(target_vocabulary, width) if share == "none" else None
        sizes = width, heads, ffn, dropout, attention_dropout, activation_dropout
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(decoder_layers))
        self._table = torch.empty(0, width)

    def forward(self, source: Tensor, previous: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Logits of the next target token at each place.

        Parameters
        ----------
        source : (b, s), filled up with padding. previous : (b, t), the target moved to the right by one place.
        chosen : numbers (n,) of the places in the flattened (b * t,) whose logits are wanted; all where it is None.

        Returns
        -------
        (b, t, target vocabulary), or (n, target vocabulary).
        """
        decoded = self.decode(previous, *self.encode(source))
        return self.logits(decoded if chosen is None else decoded.flatten(0, 1).index_select(0, chosen))

    def logits(self, decoded: Tensor) -> Tensor:
        """Logits (..., target vocabulary) of vectors (..., width)."""
        return F.linear(decoded, (self.output_embedding or self.target_embedding).weight)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """Vectors (b, s, width) of source tokens (b, s), and the mask that hides padding among them."""
        x, mask = self._embedded(self.source_embedding or self.target_embedding, source), seen(source, PAD)
        for layer in self.encoder:
            x = layer(x, mask)
        return x, mask

    def decode(self, previous: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Vectors (b, t, width) at the places of target tokens (b, t); padding at their ends is not seen by others."""
        x = self._embedded(self.target_embedding, previous)
        for layer in self.decoder:
            x = layer(x, memory, mask)
        return x

    def _embedded(self, embedding: nn.Embedding, tokens: Tensor, first: int = 0) -> Tensor:
        """Scaled embeddings with their positions, from place `first` on, in the weights' own precision."""
        places = self._places(first + tokens.shape[1], embedding.weight)[first:]
        return F.dropout(embedding(tokens) * math.sqrt(self.width) + places, self.dropout, self.training)

    def _places(self, length: int, like: Tensor) -> Tensor:
        """Positions (length, width), constants that are no part of the state and grow with the longest sequence."""
        if len(self._table) < length or self._table.device != like.device or self._table.dtype != like.dtype:
            self._table = sinusoids(max(256, 2 * length), self.width, self.positions).to(like)
        return self._table[:length]

    @torch.no_grad()
    def initialise(self, variance: float, generator: Generator) -> None:
        """Draw all weights as fairseq does: Glorot's uniform distribution, embeddings ~ N(0, 1 / width).

        Parameters
        ----------
        variance : multiplies that of every drawn weight.
        """
        factor = math.sqrt(variance)
        for name, parameter in self.named_parameters():
            if "embedding" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * factor / math.sqrt(self.width))
            elif "norm" in name:
                parameter.fill_(float(name.endswith("weight")))
            elif parameter.ndim == 2:
                gain = factor / math.sqrt(2) if _is_projection(name) else factor
                parameter.copy_(nn.init.xavier_uniform_(torch.empty(parameter.shape), gain, generator))
            elif _is_projection(name):  # torch's default, which fairseq keeps
                bound = factor / math.sqrt(self.width)
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
            else:
                parameter.zero_()
        for embedding in (self.source_embedding, self.target_embedding):
            if embedding is not None:
                embedding.weight[PAD] = 0

    def begin(self, source: Tensor, beams: int) -> "Decoding":
        """Begin to translate source sentences (b, s), with `beams` translations of each at a time."""
        memory, mask = self.encode(source)
        crossed = [layer.cross_attention.keys_and_values(memory) for layer in self.decoder]
        return Decoding(self, crossed, mask, len(source), beams)


def _is_projection(name: str) -> bool:
    return name.split(".")[-2] in ("query", "key", "value")


def sinusoids(length: int, width: int, kind: str) -> Tensor:
    """Positions (length, width): sines in the first half, cosines in the second."""
    half = width // 2
    divisor, first = POSITIONS[kind]
    exponents = torch.arange(half, dtype=torch.float64) / divisor(half)
    angles = torch.arange(first, first + length, dtype=torch.float64)[:, None] * 10_000.0**-exponents
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


def moved(target: Tensor) -> Tensor:
    """Targets (b, t) moved to the right by one place: what the decoder reads. An end mark comes first."""
    start = target.new_full((len(target), 1), END)
    return torch.cat([start, target[:, :-1].masked_fill(target[:, :-1] == END, PAD)], dim=1)


class DecoderLayer(EncoderLayer):
    """The same, with attention to the source between both."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float, attention: float, activation: float):
        super().__init__(width, heads, ffn, dropout, attention, activation)
        self.cross_attention, self.cross_attention_norm = Attention(width, heads, attention), nn.LayerNorm(width)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """(b, t, width) and the source's (b, s, width) to (b, t, width)."""
        return self._after(self.attention(x, causal=True), x, lambda y: self.cross_attention(y, memory, mask))

    def step(self, x: Tensor, own: tuple[Tensor, Tensor], source: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """One place further, for all translations of b sentences: (b * beams, 1, width) to the same.

        Parameters
        ----------
        own : keys and values of the places so far, this one's included. source : those of the source, one for the
            translations of a sentence together: their places in the batch are queries of one sequence there.
        """

        def crossed(y: Tensor) -> Tensor:
            sentences = y.view(len(source[0]), -1, y.shape[2])
            return self.cross_attention.attend(sentences, *source, mask).view(y.shape)

        return self._after(self.attention.attend(x, *own), x, crossed)

    def _after(self, attended: Tensor, x: Tensor, crossed: Callable[[Tensor], Tensor]) -> Tensor:
        """The rest of the layer, after its attention to the target."""
        x = self.attention_norm(x + self._dropped(attended))
        x = self.cross_attention_norm(x + self._dropped(crossed(x)))
        return self.norm(x + self._dropped(self.feed_forward(x)))


@dataclass
class Decoding:
    """Translations that are under way: what the decoder has computed of the places so far.

    source : keys and values of each layer, (b, heads, s, width / heads). mask : of the source.
    sentences, beams : b, and how many translations of each there are. own : keys and values of the target,
    (layers, b * beams, room, 2, width), of which the first `length` places are filled. spare : room for their copy.
    """

    network: Transformer
    source: list[tuple[Tensor, Tensor]]
    mask: Tensor | None
    sentences: int
    beams: int
    own: Tensor | None = None
    spare: Tensor | None = None
    length: int = 0

    def step(self, tokens: Tensor) -> Tensor:
        """Logits (b * beams, target vocabulary) of what follows `tokens` (b * beams,), the latest of each."""
        network = self.network
        x = network._embedded(network.target_embedding, tokens[:, None], self.length)
        self._make_room(x)
        self.length += 1
        for layer, own, source in zip(network.decoder, self.own, self.source, strict=True):
            own[:, self.length - 1, 0] = layer.attention.key(x[:, 0])
            own[:, self.length - 1, 1] = layer.attention.value(x[:, 0])
            kept = own[:, : self.length].unflatten(3, (layer.attention.heads, -1)).permute(2, 0, 3, 1, 4)
            x = layer.step(x, tuple(kept), source, self.mask)
        return network.logits(x[:, 0])

    def _make_room(self, x: Tensor) -> None:
        """Places for 16 tokens more, where all are filled."""
        if self.own is None or self.own.shape[2] == self.length:
            more = x.new_empty(len(self.source), len(x), 16, 2, x.shape[2])
            self.own = more if self.own is None else torch.cat([self.own, more], dim=2)
            self.spare = torch.empty_like(self.own)

    def select(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        """Go on with these rows (b' * beams,) of the translations; `sentences` (b',) where some of them are done."""
        filled = self.length * self.own[0, 0, 0].numel()
        self.spare = self.spare[:, : len(rows)]
        for own, spare in zip(self.own, self.spare, strict=True):
            torch.index_select(own.view(len(own), -1)[:, :filled], 0, rows, out=spare.view(len(rows), -1)[:, :filled])
        self.own, self.spare = self.spare, self.own
        if sentences is not None:
            self.source = [tuple(each.index_select(0, sentences) for each in pair) for pair in self.source]
            self.mask = None if self.mask is None else self.mask.index_select(0, sentences)
            self.sentences = len(sentences)

"""BERT (Devlin et al. 2019) with the heads of its pre-training, and with that of questions and answers."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from workflow_scripts.models.language.attention import seen
from workflow_scripts.models.language.bert_config import EPSILON
from workflow_scripts.models.language.layers import EncoderLayer

DEVIATION = 0.02  # of initial weights


def bert(info, **options) -> "Bert":
    """BERT for text of word pieces; `info.vocabulary["text"]` is their number.

    For "questions", the `info.form` of questions, it has their head, else those of pre-training.
    """
    return (QuestionAnswering if info.form == "questions" else PreTraining)(info.vocabulary["text"], **options)


class Bert(nn.Module):
    """The encoder; BERT-base by default.

    Parameters
    ----------
    vocabulary : number of word pieces. longest : tokens of the longest sequence.
    dropout : of embeddings and sublayers. attention_dropout : of attention weights.

    pad : the number of [PAD]. recompute : keep the input of each layer alone and compute the rest again for the
    gradient: the same numbers in less memory and a third more time.
    """

    def __init__(
        self,
        vocabulary: int,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        ffn: int = 3072,
        longest: int = 512,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
    ):
        super().__init__()
        self.pad, self.recompute, self.dropout = 0, False, dropout
        self.words, self.places, self.segments = (nn.Embedding(size, width) for size in (vocabulary, longest, 2))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, ffn, dropout, attention_dropout, function=F.gelu, epsilon=EPSILON)
            for _ in range(layers)
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.places.num_embeddings

    def encode(self, tokens: Tensor, segments: Tensor) -> Tensor:
        """Vectors (b, l, width) of word pieces and the numbers of their segments, (b, l) each."""
        places = self.places.weight[: tokens.shape[1]]
        x = F.dropout(self.norm(self.words(tokens) + self.segments(segments) + places), self.dropout, self.training)
        mask = seen(tokens, self.pad)
        for layer in self.layers:
            x = checkpoint(layer, x, mask, use_reentrant=False) if self.recompute and self.training else layer(x, mask)
        return x

    @torch.no_grad()
    def initialise(self, variance: float, generator: Generator) -> None:
        """Weights of a normal distribution of deviation .02, cut off at two of them; biases 0 (Devlin's code).

        Parameters
        ----------
        variance : multiplies that of every drawn weight.
        """
        deviation = DEVIATION * variance**0.5
        for name, parameter in self.named_parameters():
            if "norm" in name:
                parameter.fill_(float(name.endswith("weight")))
            elif parameter.ndim == 2:
                drawn = torch.empty(parameter.shape)
                parameter.copy_(nn.init.trunc_normal_(drawn, 0, deviation, -2 * deviation, 2 * deviation, generator))
            else:
                parameter.zero_()


class PreTraining(Bert):
    """BERT that guesses masked word pieces, and whether two segments follow each other."""

    def __init__(self, vocabulary: int, layers: int = 12, width: int = 768, **options):
        super().__init__(vocabulary, layers, width, **options)
        self.pooler, self.next = nn.Linear(width, width), nn.Linear(width, 2)
        self.masked, self.masked_norm = nn.Linear(width, width), nn.LayerNorm(width, EPSILON)
        self.masked_bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, tokens: Tensor, segments: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the word pieces at some places, and of whether the second segment is from elsewhere.

        Parameters
        ----------
        tokens, segments : (b, l). chosen : (n,) numbers of the places in the flattened (b * l,).

        Returns
        -------
        (n, vocabulary) and (b, 2).
        """
        x = self.encode(tokens, segments)
        guessed = self.masked_norm(F.gelu(self.masked(x.flatten(0, 1).index_select(0, chosen))))
        return F.linear(guessed, self.words.weight, self.masked_bias), self.next(torch.tanh(self.pooler(x[:, 0])))


class QuestionAnswering(Bert):
    """BERT that tells where an answer begins and ends."""

    def __init__(self, vocabulary: int, layers: int = 12, width: int = 768, **options):
        super().__init__(vocabulary, layers, width, **options)
        self.answer = nn.Linear(width, 2)

    def forward(self, tokens: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, l) of each place of tokens (b, l) being the answer's first, and its last."""
        return self.answer(self.encode(tokens, segments)).unbind(2)


HEADS: dict[str, Callable[..., Bert]] = {
    "BertForPreTraining": PreTraining,
    "BertForQuestionAnswering": QuestionAnswering,
}

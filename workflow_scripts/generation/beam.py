"""Beam search: the most probable translations, many sentences at once, with all that was computed before kept.

Its rules are those of transformers' `generate`, whose outputs it gives; `early_stopping` is also fairseq's way.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from workflow_scripts.base.checks import tensor, whole_number
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.pieces import END, PAD, START

NEVER = -1.0e9  # the score of what is not to be chosen


@dataclass(frozen=True)
class Search:
    """How translations are searched for.

    beams : translations of a sentence that are followed at a time; 1 takes the most probable token each time.
    length_penalty : a translation's score is its log-probability over its length, end mark included, to this power.
    longest : tokens of a translation at most, end mark included.
    early_stopping : a sentence is done once `beams` of its translations have ended (fairseq); without, once no other
        can become better than the worst of them, at its present length.

    Raises
    ------
    InputError : a number makes no sense.
    """

    beams: int = 5
    length_penalty: float = 1.0
    longest: int = 200
    early_stopping: bool = True

    def __post_init__(self):
        whole_number("the number of beams", self.beams)
        whole_number("the longest translation", self.longest)
        if not (isinstance(self.length_penalty, int | float) and 0 <= self.length_penalty < float("inf")):
            raise InputError(f"the length penalty is {self.length_penalty!r}; give a number from 0 on")


@torch.inference_mode()
def translate(network, source: Tensor, search: Search) -> tuple[list[list[int]], list[float]]:
    """The best translation of each sentence.

    Parameters
    ----------
    network : a `Transformer` in eval mode. source : (b, s) token numbers, filled up with padding on the right.

    Returns
    -------
    The token numbers of each translation, without the end mark, and their scores in nats.

    Raises
    ------
    InputError : the source is no such tensor.
    """
    tensor("the source", source, "(b, s)")
    return (_greedy if search.beams == 1 else _Beams(len(source), search, source.device).run)(network, source, search)


def _prepared(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (rows, vocabulary) of which padding and <s> are never chosen, and their norms (rows, 1)."""
    logits = logits.float()
    norms = logits.logsumexp(1, keepdim=True)
    logits[:, START] = logits[:, PAD] = -torch.inf
    return logits, norms


def _likeliest(logits: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best continuations of each sentence by one token: their scores, beams and tokens, (b, count) each.

    Sorting all of them takes most of the time, so only the groups of tokens whose best ones are the best are sorted.
    Of equal ones the first beam's first token comes first, whatever else is in the batch.

    Parameters
    ----------
    logits : (b * beams, vocabulary). scores : (b, beams) of what is continued.
    """
    logits, norms = _prepared(logits)
    (sentences, beams), vocabulary = scores.shape, logits.shape[1]
    groups = math.isqrt(4 * vocabulary)  # a token's is its number modulo so many: the fastest maximum there is
    size = vocabulary // groups
    maxima = logits[:, : size * groups].unflatten(1, (size, groups)).amax(1)
    rest = vocabulary - size * groups
    maxima[:, :rest] = maxima[:, :rest].maximum(logits[:, size * groups :])
    best = (maxima - norms + scores.view(-1, 1)).view(sentences, -1)
    chosen = best.topk(min(count, best.shape[1]), dim=1).indices
    parents = (chosen // groups)[:, :, None].expand(-1, -1, size + 1)
    tokens = (chosen % groups)[:, :, None] + groups * torch.arange(size + 1, device=chosen.device)
    rows = parents + beams * torch.arange(sentences, device=chosen.device)[:, None, None]
    found = logits.take(rows * vocabulary + tokens.clamp(max=vocabulary - 1)) - norms.take(rows) + scores.take(rows)
    found = found.masked_fill(tokens >= vocabulary, -torch.inf)
    found, order = found.flatten(1).topk(count, dim=1)
    numbers, resorted = (parents * vocabulary + tokens).flatten(1).gather(1, order).sort(dim=1)
    found, order = found.gather(1, resorted).sort(dim=1, descending=True, stable=True)
    numbers = numbers.gather(1, order)
    return found, numbers // vocabulary, numbers % vocabulary


def _greedy(network, source: Tensor, search: Search) -> tuple[list[list[int]], list[float]]:
    state = network.begin(source, 1)
    tokens = source.new_full((len(source),), END)
    left = torch.arange(len(source), device=source.device)
    found: list[list[int]] = [[] for _ in source]
    scores = torch.zeros(len(source), device=source.device)
    lengths = torch.full_like(left, search.longest)
    for length in range(1, search.longest + 1):
        logits, norms = _prepared(state.step(tokens))
        likely, tokens = logits.max(dim=1)
        scores[left] += likely - norms[:, 0]
        ended = tokens == END
        for sentence, token in zip(left.tolist(), tokens.tolist(), strict=True):
            if token != END:
                found[sentence].append(token)
        lengths[left[ended]] = length
        if ended.any():
            going = (~ended).nonzero()[:, 0]
            if not len(going):
                break
            tokens, left = tokens[going], left[going]
            state.select(going, going)
    return found, (scores / lengths**search.length_penalty).tolist()


class _Beams:
    """The search for translations of b sentences; those that are done leave it.

    left : (b,) numbers of the sentences that are not done. scores : (b, beams) log-probabilities of what is followed,
    and tokens : (b, beams, room) what it is. ended, ended_scores : the best that have ended, as those.
    """

    def __init__(self, sentences: int, search: Search, device: torch.device):
        beams = search.beams
        self.search = search
        self.left = torch.arange(sentences, device=device)
        self.scores = torch.zeros(sentences, beams, device=device)
        self.scores[:, 1:] = NEVER  # all are the same at first
        self.tokens = torch.full((sentences, beams, search.longest), PAD, device=device)
        self.ended = self.tokens.clone()
        self.ended_scores = torch.full((sentences, beams), NEVER, device=device)
        self.done = torch.zeros(sentences, beams, dtype=torch.bool, device=device)
        self.found: list[list[int]] = [[] for _ in range(sentences)]
        self.best = [0.0] * sentences

    def run(self, network, source: Tensor, search: Search) -> tuple[list[list[int]], list[float]]:
        """Search to the end."""
        state = network.begin(source, search.beams)
        tokens = source.new_full((len(source) * search.beams,), END)
        for length in range(1, search.longest + 1):
            beams = self._continue(state.step(tokens), length)
            going = self._going(length)
            if not len(going):
                break
            everything = len(going) == len(self.left)
            if not everything:
                self._leave(going)
                beams = beams[going]
            rows = (beams + going[:, None] * search.beams).flatten()
            state.select(rows, None if everything else going)
            tokens = self.tokens[:, :, length - 1].flatten()
        return self.found, self.best

    def _continue(self, logits: Tensor, length: int) -> Tensor:
        """Put one token more to each; returns which of the former beams (b, beams) each goes on from.

        Twice as many as the beams are looked at, so that as many go on even if all of the first ones end.
        """
        beams = self.search.beams
        scores, parents, tokens = _likeliest(logits, self.scores, 2 * beams)
        ends = tokens == END if length < self.search.longest else torch.ones_like(tokens, dtype=torch.bool)
        self._end(scores, parents, tokens, ends, length)
        going = (scores + ends * NEVER).sort(dim=1, descending=True, stable=True).indices[:, :beams]
        beams_of = parents.gather(1, going)
        self.scores = scores.gather(1, going)
        self.tokens = _rows(self.tokens, beams_of)
        self.tokens[:, :, length - 1] = tokens.gather(1, going)
        return beams_of

    def _end(self, scores: Tensor, parents: Tensor, tokens: Tensor, ends: Tensor, length: int) -> None:
        """Keep the best of those that have ended, now or before."""
        beams = self.search.beams
        now = ends[:, :beams]
        if not now.any():
            return
        fresh = torch.where(now, scores[:, :beams] / length**self.search.length_penalty, NEVER)
        texts = _rows(self.tokens, parents[:, :beams])
        texts[:, :, length - 1] = tokens[:, :beams]
        merged = torch.cat([self.ended_scores, fresh], dim=1)
        best = merged.sort(dim=1, descending=True, stable=True).indices[:, :beams]
        self.ended_scores = merged.gather(1, best)
        self.ended = _rows(torch.cat([self.ended, texts], dim=1), best)
        self.done = torch.cat([self.done, now], dim=1).gather(1, best)

    def _going(self, length: int) -> Tensor:
        """Numbers, among those left, of the sentences that are not done; the translations of the others are taken."""
        if length == self.search.longest:
            over = torch.ones_like(self.left, dtype=torch.bool)
        elif self.search.early_stopping:
            over = self.done.all(1)
        else:
            worst = torch.where(self.done.all(1), self.ended_scores.min(1).values, NEVER)
            over = self.scores[:, 0] / length**self.search.length_penalty <= worst
        if over.any():
            places = over.nonzero()[:, 0]
            texts, scores = self.ended[places, 0].tolist(), self.ended_scores[places, 0].tolist()
            for sentence, text, score in zip(self.left[places].tolist(), texts, scores, strict=True):
                self.found[sentence] = [token for token in text if token not in (END, PAD)]
                self.best[sentence] = score
        return (~over).nonzero()[:, 0]

    def _leave(self, going: Tensor) -> None:
        """Go on with these of the sentences alone."""
        for name in ("left", "scores", "tokens", "ended", "ended_scores", "done"):
            setattr(self, name, getattr(self, name)[going])


def _rows(tokens: Tensor, chosen: Tensor) -> Tensor:
    """Of tokens (b, n, room), the rows chosen (b, m) of each."""
    return tokens.gather(1, chosen[:, :, None].expand(-1, -1, tokens.shape[2]))

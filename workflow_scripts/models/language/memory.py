"""A count of the bytes that training a BERT needs on a device, to choose how many sequences fit at once.

The activations are what autograd keeps for the gradient: of each layer the inputs of its matrix products, of its
attention, of its normalisations and of its function, and a byte (on a GPU) for each number that dropout may drop.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from workflow_scripts.base.errors import InputError
from workflow_scripts.models.language.bert import Bert, PreTraining

FLOAT = 4
MASKED = 0.15
ON_CPU = 1 << 30  # bytes of activations at once
STATES = {"sgd": 1, "adam": 2, "adamw": 2, "radam": 2, "lamb": 2}  # numbers that an optimizer keeps for a weight


@dataclass(frozen=True)
class Bytes:
    """What a training step needs, in bytes.

    copies : of the weights in half precision, which autocast makes. activations : of all sequences at once.
    """

    weights: int
    gradients: int
    optimizer: int
    copies: int
    activations: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.copies + self.activations


def training_bytes(network: Bert, sequences: int, length: int, optimizer: str = "lamb", half: bool = True) -> Bytes:
    """What a step of training needs for sequences of one length at once.

    Parameters
    ----------
    network : on any device ("meta" needs no memory); its `recompute` is taken into account. Attention is counted as
        fused kernels do it, which keep no (length, length) matrix.
    half : matrix products in 16 bits, by autocast.
    """
    weights = FLOAT * sum(parameter.numel() for parameter in network.parameters())
    tokens = sequences * length
    layer, layers = layer_bytes(network, half), len(network.layers)
    width = network.words.embedding_dim
    kept = FLOAT * width if network.recompute else layer
    encoder = tokens * (
        layers * kept + (layer if network.recompute else 0) + embedding_bytes(width, width if network.dropout else 0)
    )
    guessed = round(MASKED * tokens) * guess_bytes(network, half) if isinstance(network, PreTraining) else 0
    return Bytes(weights, weights, STATES[optimizer] * weights, weights // 2 if half else 0, encoder + guessed)


def layer_bytes(network: Bert, half: bool) -> int:
    """What a layer keeps of a token."""
    layer, product = network.layers[0], 2 if half else FLOAT
    width, ffn, heads = network.words.embedding_dim, layer.feed_forward.inner.out_features, layer.attention.heads
    products = product * (6 * width + 2 * ffn)  # inputs of both halves, queries, keys, values, attended; FC layers
    norms = 2 * FLOAT * (width + 2)  # inputs, means and deviations
    dropped = 2 * width if network.dropout else 0
    return products + norms + dropped + FLOAT * heads  # the attention's normalisers


def embedding_bytes(width: int, dropped: int) -> int:
    """What the embedding keeps of a token: its number and segment, the normalisation's input, and dropout's choice."""
    return 2 * 8 + FLOAT * (width + 2) + dropped


def guess_bytes(network: Bert, half: bool) -> int:
    """What the guess of a masked word piece keeps: the head's inputs, and three tables as long as the vocabulary."""
    width, vocabulary = network.words.embedding_dim, network.words.num_embeddings
    return (2 if half else FLOAT) * (4 * width + vocabulary) + 2 * FLOAT * vocabulary


def most_sequences(network: Bert, length: int, memory: int, optimizer: str = "lamb", half: bool = True) -> int:
    """How many sequences of a length fit into `memory` bytes at once, as a power of two; 0 where none does.

    A tenth of the memory is left for what libraries need.
    """
    count = 0
    while training_bytes(network, max(1, 2 * count), length, optimizer, half).total <= 0.9 * memory:
        count = max(1, 2 * count)
    return count


def at_once(network: Bert, lengths: Iterable[int], optimizer: str, device: torch.device) -> dict[int, int]:
    """How many sequences of each length are computed on at once on a device.

    It rests on the device's kind alone, not on what else is in its memory, so that a training that goes on adds up the
    same sums. The network's `recompute` is set where a sequence does not fit otherwise.

    Raises
    ------
    InputError : not even one fits.
    """
    half, found = device.type == "cuda", {}
    for network.recompute in (False, True):
        for length in lengths:
            if half:
                memory = torch.cuda.get_device_properties(device).total_memory
            else:
                memory = int((training_bytes(network, 0, length, optimizer, half).total + ON_CPU) / 0.9)
            found[length] = most_sequences(network, length, memory, optimizer, half)
        if all(found.values()):
            return found
    if half:
        needed = training_bytes(network, 1, max(lengths), optimizer, half).total / 0.9e9
        raise InputError(
            f"a sequence of {max(lengths)} tokens needs {needed:,.0f} GB of the GPU's memory to be trained on, and it "
            f"has {memory / 1e9:,.0f}; take shorter sequences, a smaller network or a larger GPU"
        )
    return {length: max(1, count) for length, count in found.items()}

"""Steps of a training as CUDA graphs: hundreds of kernels for a minibatch are launched as one.

Small batches leave a GPU waiting for Python, kernel after kernel. A graph is captured for each size of a minibatch that
comes often, and replayed from then on: the same kernels on the same numbers. On a CPU nothing is captured.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workflow_scripts.runtime.log import say

WARM_UP = 3  # runs before a capture, in which cuDNN and cuBLAS choose their kernels and get their memory
OFTEN = 3  # minibatches alike after which their step is captured
MOST = 4  # graphs of a training, each of which keeps memory of its own


@dataclass
class Captured:
    """A graph with the tensors that it reads and writes: inputs, results, and the gradients of the parameters."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    gradients: list[Tensor | None]


class Replayed:
    """Computes the gradients of minibatches, by graphs where it can.

    enabled : whether to capture at all. captured : by what a graph rests on, in the order of their capture.
    """

    def __init__(self, enabled: bool = True):
        self.enabled = enabled
        self.captured: dict[Hashable, Captured] = {}
        self.seen: Counter[Hashable] = Counter()

    def __call__(
        self,
        compute: Callable[..., tuple[Tensor, ...]],
        module: nn.Module,
        inputs: tuple[Tensor, ...],
        constants: Hashable = None,
    ) -> tuple[Tensor, ...]:
        """The results of `compute(*inputs)`, as tensors of their own, with the gradients that it leaves in the module.

        Parameters
        ----------
        compute : leaves gradients in the module's parameters, which it first sets to None, or which have buffers of
            their own that it clears. It must be the same function of the inputs wherever `constants` are the same.
        module : its buffers, and the random numbers of the device, are the same after a capture as before.
        """
        if not self.enabled or not all(isinstance(value, Tensor) and value.is_cuda for value in inputs):
            return compute(*inputs)
        parameters = list(module.parameters())
        shapes = tuple((value.shape, value.dtype, value.stride()) for value in inputs)
        key = shapes, constants, tuple(parameter.requires_grad for parameter in parameters)
        if key not in self.captured and not self._capture(key, compute, module, inputs):
            return compute(*inputs)
        ready = self.captured[key]
        for place, value in zip(ready.inputs, inputs, strict=True):
            place.copy_(value)
        ready.graph.replay()
        set_gradients(parameters, ready.gradients)
        return tuple(result.clone() for result in ready.results)

    def _capture(
        self, key: Hashable, compute: Callable[..., tuple[Tensor, ...]], module: nn.Module, inputs: tuple[Tensor, ...]
    ) -> bool:
        """Capture a step where it comes often and can be; whether there is a graph now."""
        self.seen[key] += 1
        if self.seen[key] < OFTEN or len(self.captured) == MOST:
            return False
        try:
            self.captured[key] = captured(compute, module, inputs)
        except RuntimeError as error:
            say(f"this step cannot be captured as a CUDA graph and is launched kernel by kernel: {error}")
            self.enabled = False
        return self.enabled


def captured(compute: Callable[..., tuple[Tensor, ...]], module: nn.Module, inputs: tuple[Tensor, ...]) -> Captured:
    """Run a step a few times beside what is being computed, then capture it; only the gradients are not as before."""
    parameters, device = list(module.parameters()), inputs[0].device
    inputs = tuple(value.clone(memory_format=torch.preserve_format) for value in inputs)
    buffers = [buffer.clone() for buffer in module.buffers()]
    random = torch.cuda.default_generators[device.index or 0]
    seed, offset = random.initial_seed(), random.get_offset()
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            compute(*inputs)
    torch.cuda.current_stream().wait_stream(beside)
    graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        # A capture that fails leaves its own stream as the current one; the outer context goes back all the same.
        with torch.cuda.stream(current), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            results = compute(*inputs)
    except RuntimeError:
        # The state of the random numbers still takes itself for captured (torch before 2.14), and refuses the next
        # dropout: "Offset increment outside graph capture encountered unexpectedly". A new state takes its place.
        random.graphsafe_set_state(torch.Generator(device))
        raise
    finally:
        for buffer, earlier in zip(module.buffers(), buffers, strict=True):
            buffer.copy_(earlier)
        random.manual_seed(seed)
        random.set_offset(offset)
    return Captured(graph, inputs, results, [parameter.grad for parameter in parameters])


def set_gradients(parameters: Iterable[Tensor], gradients: Iterable[Tensor | None]) -> None:
    """Let the parameters have these tensors as their gradients."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient

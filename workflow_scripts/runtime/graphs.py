"""Steps of a training as CUDA graphs: hundreds of kernels for a minibatch are launched as one.

Small batches leave a GPU waiting for Python, kernel after kernel. A graph is captured once for each size of a minibatch
and replayed from then on: the same kernels on the same numbers. On a CPU nothing is captured.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from workflow_scripts.runtime.log import say

WARM_UP = 3  # runs before a capture, in which cuDNN and cuBLAS choose their kernels and get their memory


@dataclass
class Captured:
    """A graph with the tensors that it reads and writes: inputs, result, and the gradients of the parameters."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    result: Tensor
    gradients: list[Tensor | None]


@dataclass
class Replayed:
    """A function of a minibatch that fills the gradients of a module, replayed where it can be.

    compute : (images, labels) → a tensor; it leaves gradients in the module's parameters, which it first sets to None,
        or which have buffers of their own that it clears.
    module : its buffers and random numbers are the same after a capture as before.
    enabled : whether to capture at all.
    """

    compute: Callable[[Tensor, Tensor], Tensor]
    module: nn.Module
    enabled: bool = True
    captured: dict[tuple, Captured] = field(default_factory=dict)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """As `compute`; the result is a tensor of its own."""
        parameters = list(self.module.parameters())
        key = (images.shape, tuple(parameter.requires_grad for parameter in parameters))
        if not self.enabled or not images.is_cuda:
            return self.compute(images, labels)
        if key not in self.captured:
            try:
                self.captured[key] = self._capture(images, labels, parameters)
            except RuntimeError as error:
                say(f"this step cannot be captured as a CUDA graph and is launched kernel by kernel: {error}")
                self.enabled = False
                return self.compute(images, labels)
        ready = self.captured[key]
        for place, value in zip(ready.inputs, (images, labels), strict=True):
            place.copy_(value)
        ready.graph.replay()
        set_gradients(parameters, ready.gradients)
        return ready.result.clone()

    def _capture(self, images: Tensor, labels: Tensor, parameters: list[Tensor]) -> Captured:
        """Run a few times beside what is being computed, then capture; all but the gradients is as it was before."""
        inputs = images.clone(memory_format=torch.preserve_format), labels.clone()
        buffers = [buffer.clone() for buffer in self.module.buffers()]
        own = [parameter.grad for parameter in parameters]
        random = torch.cuda.default_generators[images.device.index or torch.cuda.current_device()]
        seed, offset = random.initial_seed(), random.get_offset()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.compute(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        set_gradients(parameters, own)
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = self.compute(*inputs)
        finally:
            for buffer, earlier in zip(self.module.buffers(), buffers, strict=True):
                buffer.copy_(earlier)
            random.manual_seed(seed)
            random.set_offset(offset)
        return Captured(graph, inputs, result, [parameter.grad for parameter in parameters])


def set_gradients(parameters: Iterable[Tensor], gradients: Iterable[Tensor | None]) -> None:
    """Let the parameters have these tensors as their gradients."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient

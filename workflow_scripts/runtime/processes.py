"""Several processes that train one run together, each on its share of every batch: `torchrun` starts them.

The result does not depend on their number, but for rounding: gradients are averaged over the whole batch, statistics of
batch normalisation are those of the whole batch too, and sums of metrics go over all shares. The main process,
the first, alone writes anything.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflow_scripts.base.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from workflow_scripts.datasets.sampling import Share

PATIENCE = datetime.timedelta(days=7)  # the others wait while the first waits for a lock


@dataclass(frozen=True)
class Processes:
    """This process among those that train a run; by default it is alone."""

    rank: int = 0
    count: int = 1

    @property
    def alone(self) -> bool:
        return self.count == 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    @property
    def share(self) -> "Share":
        """The part of every batch that is this process'."""
        from workflow_scripts.datasets.sampling import Share

        return Share(self.rank, self.count)

    def part_of(self, loss: "Tensor", total: int) -> "Tensor":
        """A sum over this process' items, scaled so that the processes' average is the mean over all `total` items."""
        return loss / total if self.alone else loss * (self.count / total)

    def gradients(self, network: "nn.Module", is_last: bool) -> contextlib.AbstractContextManager:
        """Within, a backward pass adds up gradients; an update's last one also averages them over processes."""
        return contextlib.nullcontext() if self.alone or is_last else network.no_sync()

    def parallel(self, model: "nn.Module", device: "torch.device") -> "nn.Module":
        """The model whose gradients, after each backward pass, are averaged over the processes.

        Raises
        ------
        InputError : batch normalisation over several processes that compute on the CPU, for which torch has none.
        """
        if self.alone:
            return model
        from torch import nn

        if device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        elif any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
            raise InputError("several processes train a network with batch normalisation on GPUs alone; use one")
        return nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)

    def total(self, values: "Tensor") -> "Tensor":
        """The sum of `values` over all processes, in place."""
        return self._reduced(values, "SUM")

    def minimum(self, values: "Tensor") -> "Tensor":
        """The least of `values` over all processes, in place."""
        return self._reduced(values, "MIN")

    def _reduced(self, values: "Tensor", how: str) -> "Tensor":
        if not self.alone:
            from torch import distributed

            distributed.all_reduce(values, getattr(distributed.ReduceOp, how))
        return values

    def broadcast(self, answer: bool) -> bool:
        """The main process' answer, in all of them."""
        if self.alone:
            return answer
        import torch

        said = torch.tensor(int(answer and self.is_main))
        return bool(self.total(said.cuda() if torch.cuda.is_available() else said).item())


ALONE = Processes()


@contextlib.contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that `torchrun` started, ready to talk; this one alone where it started none.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda". Each process takes the GPU of its own number on the machine.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    import torch
    from torch import distributed

    gpus = device != "cpu" and torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpus else "gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()

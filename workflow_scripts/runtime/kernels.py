"""Which of torch's CPU kernels compute the convolutions of a training."""

import contextlib
from collections.abc import Iterator

import torch
from torch.backends import mkldnn, nnpack

FEW_PIXELS = 4096  # in a batch, measured: below this a oneDNN call takes longer to prepare than to compute


@contextlib.contextmanager
def small_batches(pixels: int, device: torch.device) -> Iterator[None]:
    """Within, convolve small batches by torch's own kernels, which start at once: 1.8 times as fast for 8 x 8 x 8.

    The choice is a function of the batch's size alone, so that a run gives the same bits whenever it is resumed.

    Parameters
    ----------
    pixels : images in a batch times their pixels; channels do not count.
    """
    if device.type != "cpu" or pixels > FEW_PIXELS:
        yield
        return
    # allow_tf32=None leaves a setting alone that torch would warn of.
    with mkldnn.flags(enabled=False, allow_tf32=None), nnpack.flags(enabled=False):
        yield

"""Small batches are convolved by other kernels to the same numbers, and the process is left as it was."""

import pytest
import torch
from torch.backends import mkldnn
from torch.nn import functional as F

from tests.shared.recipes import Kept, small_recipe
from workflow_scripts.runtime.kernels import FEW_PIXELS, small_batches
from workflow_scripts.tasks import task_of
from workflow_scripts.training import engine

CPU = torch.device("cpu")


def onednn_within(pixels, device=CPU):
    with small_batches(pixels, device):
        return mkldnn.enabled


def test_only_few_pixels_on_a_cpu_leave_onednn():
    assert not onednn_within(FEW_PIXELS)
    assert onednn_within(FEW_PIXELS + 1)
    assert onednn_within(1, torch.device("cuda"))


def test_settings_come_back_after_an_error():
    before = mkldnn.enabled, torch._C._get_nnpack_enabled()
    with pytest.raises(RuntimeError, match="in the middle"), small_batches(1, CPU):
        assert (mkldnn.enabled, torch._C._get_nnpack_enabled()) == (False, False)
        raise RuntimeError("in the middle")
    assert (mkldnn.enabled, torch._C._get_nnpack_enabled()) == before == (True, True)


@pytest.mark.parametrize("images", [1, 16, 64])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_and_gradients_are_those_in_float64(images, stride):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(images, 5, 8, 8, generator=draw).to(memory_format=torch.channels_last)
    w = torch.randn(7, 5, 3, 3, generator=draw).to(memory_format=torch.channels_last)
    found = []
    for dtype in (torch.float32, torch.float64):
        inputs = [tensor.to(dtype).requires_grad_() for tensor in (x, w)]
        with small_batches(images * 64, CPU):
            output = F.conv2d(*inputs, stride=stride, padding=1)
            found.append([output, *torch.autograd.grad(output.square().sum(), inputs)])
    for single, double in zip(*found, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4 * double.abs().max().item())


@pytest.mark.parametrize(("batch_size", "onednn"), [(16, False), (80, True)])
def test_the_engine_chooses_by_the_batch_size_and_evaluates_with_onednn(tiny_data, batch_size, onednn):
    seen = {}

    def look(model, *_):
        seen[model.training] = mkldnn.enabled

    recipe = small_recipe(batch_size=batch_size, samples_per_epoch=80, epochs=1)  # images of 8 x 8
    task = task_of(recipe, tiny_data)
    progress = engine.begin(recipe, task, {})
    progress.model.register_forward_hook(look)
    engine.train(recipe, task, progress, {}, Kept())
    assert seen == {True: onednn, False: True}

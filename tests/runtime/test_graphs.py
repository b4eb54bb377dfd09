"""CUDA graphs: a replayed step does what the plain one does, random numbers and running statistics included."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from workflow_scripts.runtime.graphs import Replayed

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU (cuda)")


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(8 * 8 * 8, 10))


def trained(enabled, device, frozen_until=0):
    """Losses of eight steps on two sizes of minibatch, and the weights and buffers at their end."""
    model = network().to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)

    def compute(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        return (loss.detach(),)

    step = Replayed(enabled)
    random, losses = torch.Generator().manual_seed(1), []
    torch.manual_seed(2)
    for number in range(20):
        size = 4 if number % 4 == 3 else 16
        images = torch.randn(size, 3, 8, 8, generator=random).to(device)
        labels = torch.randint(10, (size,), generator=random).to(device)
        for parameter in model[5].parameters():
            parameter.requires_grad_(number >= frozen_until)
            parameter.grad = None
        losses += step(compute, model, (images, labels))
        optimizer.step()
    return torch.stack(losses).cpu(), copy.deepcopy(model.state_dict()), step


@needs_cuda
@pytest.mark.parametrize("frozen_until", [0, 8])
def test_a_replayed_step_is_the_plain_one_on_cuda(frozen_until):
    torch.backends.cudnn.deterministic = True
    plain, state, _ = trained(False, "cuda", frozen_until)
    losses, replayed, step = trained(True, "cuda", frozen_until)
    assert len(step.captured) == (3 if frozen_until else 2) and step.enabled  # two sizes, one of them twice
    torch.testing.assert_close(losses, plain, rtol=1e-5, atol=1e-6)
    for name, tensor in state.items():
        torch.testing.assert_close(replayed[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@needs_cuda
def test_what_cannot_be_captured_is_launched_kernel_by_kernel_on_cuda(capsys):
    """It goes on with the random numbers and gradients of a training that never tried, and on its stream."""
    images, labels = torch.randn(4, 3, 8, 8, device="cuda"), torch.zeros(4, dtype=torch.long, device="cuda")

    def losses(enabled):
        model = network().cuda()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)

        def compute(images, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            return (loss.detach() if loss.item() > 0 else loss + 1,)  # reading a number waits for the device

        step, stream, found = Replayed(enabled), torch.cuda.current_stream(), []
        torch.manual_seed(2)
        for _ in range(6):
            found += step(compute, model, (images, labels))
            optimizer.step()
        assert not step.enabled and not step.captured and torch.cuda.current_stream() == stream
        return torch.stack(found)

    plain = losses(False)
    assert not capsys.readouterr().out
    torch.testing.assert_close(losses(True), plain, rtol=1e-5, atol=1e-6)
    assert "cannot be captured" in capsys.readouterr().out


def test_nothing_is_captured_on_a_cpu():
    losses, _, step = trained(True, "cpu")
    assert step.captured == {} and torch.equal(losses, trained(False, "cpu")[0])

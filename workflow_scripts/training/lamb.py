"""LAMB, layer-wise adaptive moments for large batches (You et al. 2020, algorithm 2)."""

from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer


class Lamb(Optimizer):
    """Adam's step of each parameter, scaled by |parameter| / |step|: its trust ratio.

    The moments are corrected for their start at zero, and a parameter without weight decay, such as a bias, has a trust
    ratio of 1, as in the authors' code. Gradients are clipped outside.

    Parameters
    ----------
    params : parameters, or groups of them with a weight_decay each. betas, eps : as of Adam.
    """

    def __init__(
        self, params: Iterable, lr: float = 0.0, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6,
        weight_decay: float = 0.0,
    ):  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            decay, (beta1, beta2) = group["weight_decay"], group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                mean, square, step = state["exp_avg"], state["exp_avg_sq"], state["step"].item()
                mean.lerp_(parameter.grad, 1 - beta1)
                square.mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                root = (square.sqrt() / (1 - beta2**step) ** 0.5).add_(group["eps"])
                update = (mean / (1 - beta1**step)).div_(root)
                rate = group["lr"]
                if decay != 0:
                    update.add_(parameter, alpha=decay)
                    weight_norm, update_norm = parameter.norm(), update.norm()
                    trust = torch.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, 1.0)
                    update.mul_(trust)
                parameter.sub_(update, alpha=rate)

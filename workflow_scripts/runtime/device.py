"""Which device a job runs on."""

import torch

from workflow_scripts.base.errors import InputError


def choose_device(device: str) -> torch.device:
    """ "auto" is the first GPU that this process can see, or the CPU.

    Raises
    ------
    InputError : "cuda" is asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device is cuda, but no GPU can be seen; set it to auto or cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def device_name(device: torch.device, count: int = 1) -> str:
    """What a reader knows the device by, or so many of its kind."""
    name = f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"
    return name if count == 1 else f"{count} x {name}"


def float32_only() -> None:
    """Keep TensorFloat-32 out of a GPU's sums where its ten bits are too coarse, as for derivatives and small boxes."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU; nothing on a CPU, where it is slower."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

"""Checkpoints: weights and buffers as safetensors, with a JSON description in the header. No pickle is ever read."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from workflow_scripts.base.checks import described, mapping, network
from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_file
from workflow_scripts.models import build, names

FLOATING = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
# What DistributedDataParallel, torch.compile, Lightning and nested dictionaries put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.", "state_dict.")
COUNTER = "num_batches_tracked"  # of batch normalisation: PyTorch 0.4 and other programs do not write it


@dataclass(frozen=True)
class Checkpoint:
    """A state of a model.

    state : tensor by name, as in `nn.Module.state_dict`.
    description : "model" (its specification), "data" (the data set's name), "at" (a label such as "epoch-30") and "run"
        (the fingerprint of the training); empty for a file that was not written here.
    path : where it was read, for messages.
    """

    state: dict[str, Tensor]
    description: dict = field(default_factory=dict)
    path: Path | None = None

    def __str__(self) -> str:
        model = self.description.get("model")
        where = f"the checkpoint {self.path}" if self.path is not None else "the checkpoint"
        return where if model is None else f"{where} (of {json.dumps(model)})"


def save(path: str | os.PathLike, state: dict[str, Tensor], description: dict) -> None:
    """Write a checkpoint whole.

    Parameters
    ----------
    state : tensors on any device and in any memory format; some may share memory.
    description : JSON data; see `Checkpoint`.

    Raises
    ------
    InputError : a value is no tensor.
    """
    write(path, state, {"description": json.dumps(description, sort_keys=True)})


def write(path: str | os.PathLike, tensors: dict[str, Tensor], header: dict[str, str] | None = None) -> None:
    """Write named tensors, on any device and in any memory format, as one whole safetensors file."""
    mapping("the tensors of a checkpoint", tensors)
    if strange := [name for name, tensor in tensors.items() if not isinstance(tensor, Tensor)]:
        raise InputError(
            f"{path}: {strange[0]!r} is {described(tensors[strange[0]])}; a checkpoint holds torch.Tensors"
        )
    # safetensors takes neither strided nor shared memory, so every tensor is copied plainly. Its own way to a file
    # hides what the system says of a full disk, and leaves a temporary file of any name when it is killed.
    plain = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    with whole_file(path) as temporary:
        temporary.write_bytes(serialised(plain, header))


def load(path: str | os.PathLike, allow_non_finite: bool = False, leave_out: Iterable[str] = ()) -> Checkpoint:
    """Read a checkpoint, from here or from anywhere, onto the CPU.

    Parameters
    ----------
    allow_non_finite : accept NaN and infinite weights, those of a run that diverged.
    leave_out : names of tensors that are not read.

    Raises
    ------
    InputError
        If the file is missing, cut short or not safetensors, or holds a tensor that cannot be one of a model's.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a checkpoint is read from a path, not from {described(path)}")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no checkpoint at {path}; train it first, or give the path of a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys() if name not in leave_out}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise InputError(
            f"the checkpoint {path} is cut short or not a safetensors file ({error}); fetch or save it again, with "
            "safetensors.torch.save_file if it came from torch.save"
        ) from None
    checkpoint = Checkpoint(state, _description(header, path), path)
    _check(checkpoint, allow_non_finite)
    return checkpoint


def _description(header: dict[str, str], path: Path) -> dict:
    try:
        description = json.loads(header.get("description", "{}"))
    except json.JSONDecodeError:
        description = None
    if not isinstance(description, dict):
        raise InputError(
            f"the checkpoint {path} has a description that is not a JSON object: {header['description'][:80]!r}; "
            "remove it from the file's metadata or mend it"
        )
    return description


def _check(checkpoint: Checkpoint, allow_non_finite: bool) -> None:
    if not checkpoint.state:
        raise InputError(f"{checkpoint} holds no tensors; save the model's state_dict()")
    for name, tensor in checkpoint.state.items():
        counter = name.endswith(COUNTER) and tensor.dtype in INTEGERS
        if tensor.dtype not in FLOATING and not counter:
            raise InputError(f"{checkpoint} has {tensor.dtype} values in {name!r}; weights are floating-point numbers")
        if not allow_non_finite and not tensor.isfinite().all():
            raise InputError(
                f"{checkpoint} has NaN or infinite values in {name!r}: that training diverged, so choose another run"
            )


def into(model: nn.Module, checkpoint: Checkpoint) -> nn.Module:
    """Load a checkpoint's state into a model of exactly its shape; returns the same model.

    Names may have one of `PREFIXES` before them; a counter of batch normalisation may be missing, and is 0 then.

    Raises
    ------
    InputError
        Naming the first tensor that is missing, of another shape, or too many; the model is then unchanged.
    """
    network("the model", model)
    mapping("the state of a checkpoint", checkpoint.state)
    own, given = model.state_dict(), without_prefix(checkpoint.state, model.state_dict())
    counters = {name: torch.zeros_like(own[name]) for name in own if name.endswith(COUNTER)}
    given = counters | {
        name: tensor.reshape(()) if name in counters and tensor.numel() == 1 else tensor
        for name, tensor in given.items()
    }
    for name in [*own, *given]:
        in_model, in_checkpoint = (tuple(state[name].shape) if name in state else None for state in (own, given))
        if in_model != in_checkpoint:
            here, there = (str(shape) if shape is not None else "absent" for shape in (in_model, in_checkpoint))
            raise InputError(
                f"{checkpoint} is a checkpoint of another model: tensor {name!r} is {there} there and {here} in "
                f"{type(model).__name__}; {_advice(name, checkpoint.state)}"
            )
    model.load_state_dict(given)
    return model


def without_prefix(state: Mapping[str, Tensor], expected: Iterable[str]) -> dict[str, Tensor]:
    """The state without `PREFIXES` that all of its names have, one inside another, and no name that is expected has."""
    state, expected = dict(state), list(expected)
    while prefix := next((each for each in PREFIXES if state and all(name.startswith(each) for name in state)), None):
        if any(name.startswith(prefix) for name in expected):
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _advice(name: str, state: Mapping[str, Tensor]) -> str:
    """What to do about a tensor that does not fit."""
    if prefix := next((each.removesuffix(name) for each in state if each.endswith(f".{name}")), None):
        return (
            f"there it is called {prefix + name!r}: save the network's tensors alone, or without {prefix!r} before "
            "their names"
        )
    return "give the model, width and data set that it was trained with"


def restore(checkpoint: Checkpoint, info, model_spec: dict | None = None) -> nn.Module:
    """Build the model that a checkpoint describes and load the state into it.

    Parameters
    ----------
    info : of the data set: `channels`, `classes`, `image_size`.
    model_spec : the model, for a checkpoint that does not describe its own; see `models.build`.

    Raises
    ------
    InputError
        If no model is described, the two descriptions differ, or the state does not fit.
    """
    described = checkpoint.description.get("model")
    spec = described if described is not None else model_spec
    if spec is None:
        raise InputError(
            f"{checkpoint} does not say of which model it is; name the model and its options yourself, in a stage's "
            'recipe as "model": {"name": "vgg16"}'
        )
    if model_spec is not None and names.check(spec) != names.check(model_spec):
        raise InputError(f"{checkpoint} is a checkpoint of another model than {json.dumps(model_spec)}")
    return into(build(spec, info), checkpoint)

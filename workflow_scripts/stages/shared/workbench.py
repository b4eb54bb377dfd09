"""What the analysis stages share: the data on its device, networks from checkpoints, and where a table came from."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import TrainingData, open_data
from workflow_scripts.datasets.text.settings import FORMS
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.landscape.flat import FlatModel
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.recipes.labels import Label
from workflow_scripts.runtime.device import choose_device, device_name, float32_only
from workflow_scripts.runtime.memory import keep_freed_memory


@dataclass(frozen=True)
class Workbench:
    """A device with a data set on it, and the recipe to be followed."""

    recipe: dict
    data: TrainingData
    scale: str

    @classmethod
    def of(cls, arguments: argparse.Namespace, recipe: dict, exact: bool = True) -> "Workbench":
        """As the shared arguments of a stage say. Analyses are computed in float32, on a GPU too.

        exact : whether a GPU's products may not round to ten bits (TensorFloat-32), which is several times as fast.
        """
        torch.set_num_threads(arguments.threads)
        if exact:
            float32_only()
        else:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        device = choose_device(arguments.device)
        if device.type == "cpu":
            keep_freed_memory()
        data = open_data(arguments.data, device, arguments.workers)
        return cls(recipe, data, arguments.scale)

    @property
    def device(self) -> torch.device:
        return self.data.device

    @property
    def autocast(self) -> torch.dtype | None:
        """The type of forward passes while training: bfloat16 on a GPU."""
        return torch.bfloat16 if self.device.type == "cuda" else None

    def of_images(self) -> "Workbench":
        """This one, where the data are images.

        Raises
        ------
        InputError : they are text.
        """
        if self.data.info.form in FORMS:
            raise InputError(f"{self.data.info.name} is text ({self.data.info.form}), and this is measured on images")
        return self

    def network(self, checkpoint: Path, model: dict | None = None) -> nn.Module:
        """The network that a checkpoint holds, in eval mode; `model` for a file that does not describe its own."""
        restored = checkpoints.restore(checkpoints.load(checkpoint), self.data.info, model)
        return restored.to(self.device).eval()

    def provenance(self, **more) -> dict:
        """Where the results of this recipe come from."""
        return describe(self.recipe, self.scale, device_name(self.device), **more)


def weights(flat: FlatModel, checkpoint: Path) -> Tensor:
    """The point (D,) of weight space that a checkpoint holds.

    Raises
    ------
    InputError : it cannot be read, or is one of another model.
    """
    loaded = checkpoints.load(checkpoint)
    try:
        return flat.from_state(checkpoints.without_prefix(loaded.state, flat.shapes))
    except InputError as error:
        raise InputError(f"{loaded} is a checkpoint of another model: {error}") from None


def middle_bend(curve: Path) -> tuple[Tensor | None, dict | None]:
    """The middle bend (D,) of a curve as it was last saved; or None and the status, where a training diverged.

    Parameters
    ----------
    curve : the folder that `workflow_scripts.stages.curve` wrote.

    Raises
    ------
    InputError : a file is missing or damaged, holds something else than bends, or no bend was saved.
    """
    table = read_table(curve / "curve.parquet", "path")
    if table.diverged:
        return None, table.status
    try:
        bends = load_file(curve / "bends.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{curve / 'bends.safetensors'} cannot be read ({error}); find the curve again") from None
    if not bends:
        raise InputError(f"{curve / 'bends.safetensors'} holds no bend; find the curve with an epoch to save")
    if strange := [name for name, bend in bends.items() if not _is_bends(name, bend)]:
        raise InputError(f"{curve / 'bends.safetensors'} holds {strange[0]!r}, which is no bends; find the curve again")
    last = bends[max(bends, key=lambda name: Label.parse(name).number)]
    return last[len(last) // 2], None


def _is_bends(name: str, tensor: Tensor) -> bool:
    """Whether a tensor can be the bends (bends, D) of an epoch."""
    label = Label.found(name)
    return label is not None and label.kind == "epoch" and tensor.dim() == 2 and tensor.is_floating_point()


def describe(recipe: dict, scale: str, device: str | None = None, **more) -> dict:
    """Provenance of an analysis."""
    return provenance.collect(
        scale=scale,
        data=recipe.get("data"),
        device=device,
        seeds=[recipe["seed"]] if "seed" in recipe else [],
        fingerprints=[fingerprint(recipe)],
        recipe=recipe,
        **more,
    )

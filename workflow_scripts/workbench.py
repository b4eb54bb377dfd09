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
from workflow_scripts.evidence import provenance
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.recipes.canonical import fingerprint
from workflow_scripts.training.device import choose_device, device_name, float32_only


@dataclass(frozen=True)
class Workbench:
    """A device with a data set on it, and the recipe to be followed."""

    recipe: dict
    resident: TrainingData
    scale: str

    @classmethod
    def of(cls, arguments: argparse.Namespace, recipe: dict) -> "Workbench":
        """As the shared arguments of a stage say. Analyses are computed in float32, on a GPU too."""
        torch.set_num_threads(arguments.threads)
        float32_only()
        data = open_data(arguments.data, choose_device(arguments.device), arguments.workers)
        return cls(recipe, data, arguments.scale)

    @property
    def device(self) -> torch.device:
        return self.resident.device

    @property
    def autocast(self) -> torch.dtype | None:
        """The type of forward passes while training: bfloat16 on a GPU."""
        return torch.bfloat16 if self.device.type == "cuda" else None

    def network(self, checkpoint: Path, model: dict | None = None) -> nn.Module:
        """The network that a checkpoint holds, in eval mode; `model` for a file that does not describe its own."""
        restored = checkpoints.restore(checkpoints.load(checkpoint), self.resident.info, model)
        return restored.to(self.device).eval()

    def provenance(self, **more) -> dict:
        """Where the results of this recipe come from."""
        return describe(self.recipe, self.scale, device_name(self.device), **more)


def middle_bend(curve: Path) -> tuple[Tensor | None, dict | None]:
    """The middle bend (D,) of a curve as it was last saved; or None and the status, where a training diverged.

    Parameters
    ----------
    curve : the folder that `workflow_scripts.curve` wrote.

    Raises
    ------
    InputError : a file is missing or damaged, or no bend was saved.
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
    last = bends[max(bends, key=lambda label: int(label.removeprefix("epoch-")))]
    return last[len(last) // 2], None


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

"""What config.json of a BERT checkpoint says of the network. Read while planning, so no torch here."""

import json
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.settings import CHECKPOINT_FILES

CONFIG, WEIGHTS = CHECKPOINT_FILES


def checkpoint_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a BERT checkpoint's folder that says what it computes, by name."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".txt", ".safetensors"))
    return {path.name: checksum(path) for path in files}


EPSILON = 1e-12  # of layer normalisation
# Our options by the names of config.json.
OPTIONS = {
    "num_hidden_layers": "layers", "hidden_size": "width", "num_attention_heads": "heads", "intermediate_size": "ffn",
    "max_position_embeddings": "longest", "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}  # fmt: skip
# What else a BERT may be, and the only value that ours has.
FIXED = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": EPSILON, "type_vocab_size": 2}


@dataclass(frozen=True)
class BertConfig:
    """options : of the model bert. vocabulary : number of word pieces. pad : the number of [PAD]."""

    options: dict
    vocabulary: int
    pad: int


def read_config(folder: Path) -> BertConfig:
    """Read config.json of a checkpoint, from here or from anywhere.

    Raises
    ------
    InputError : it is missing or damaged, or of no BERT of the usual kind.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / CONFIG} cannot be read ({error}); give a folder with {CONFIG}, {WEIGHTS} and the word pieces"
        ) from None
    problems = [
        f"{key} is {config.get(key)!r} and not {value!r}"
        for key, value in FIXED.items()
        if config.get(key, value) != value
    ]
    problems += [
        f"{key} is missing" for key in ("vocab_size", *OPTIONS) if not isinstance(config.get(key), int | float)
    ]
    if problems:
        raise InputError.together(f"{folder / CONFIG} is of no BERT that can be used", problems)
    options = {ours: config[usual] for usual, ours in OPTIONS.items()}
    return BertConfig(options, config["vocab_size"], config.get("pad_token_id") or 0)

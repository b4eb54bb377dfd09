"""BERT checkpoints in the usual form, a folder with config.json, model.safetensors and the word pieces."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor, nn

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import whole_directory
from workflow_scripts.datasets.text.settings import VOCABULARY
from workflow_scripts.datasets.text.wordpieces import CLS, MASK, PAD, SEP, UNKNOWN, vocabulary_problem
from workflow_scripts.models import checkpoints
from workflow_scripts.models.language.bert import DEVIATION, HEADS, Bert
from workflow_scripts.models.language.bert_config import CONFIG, FIXED, OPTIONS, WEIGHTS, read_config

# Our parts by the names of the usual form; a layer's come after its number.
PARTS = {
    "bert.embeddings.word_embeddings": "words", "bert.embeddings.position_embeddings": "places",
    "bert.embeddings.token_type_embeddings": "segments", "bert.embeddings.LayerNorm": "norm",
    "bert.pooler.dense": "pooler", "cls.seq_relationship": "next", "qa_outputs": "answer",
    "cls.predictions.transform.dense": "masked", "cls.predictions.transform.LayerNorm": "masked_norm",
}  # fmt: skip
LAYER_PARTS = {
    "attention.self.query": "attention.query", "attention.self.key": "attention.key",
    "attention.self.value": "attention.value", "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm", "intermediate.dense": "feed_forward.inner",
    "output.dense": "feed_forward.outer", "output.LayerNorm": "norm",
}  # fmt: skip
BIAS = "cls.predictions.bias"
LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")
# Copies of other tensors, and numbers that are no weights.
REPEATED = (
    "cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "bert.embeddings.position_ids",
    "embeddings.position_ids",
)  # fmt: skip
HEAD_PARTS = ("pooler.", "next.", "answer.", "masked.", "masked_norm.", "masked_bias")


@dataclass(frozen=True)
class BertFolder:
    """A checkpoint that was read: a folder, or the file of a run.

    options : of `Bert`. vocabulary : number of word pieces. pad : the number of [PAD]. state : tensors by our names.
    """

    path: Path
    options: dict
    vocabulary: int
    pad: int
    state: dict[str, Tensor]

    def into(self, network: Bert) -> list[str]:
        """Put the weights into a network of this size; returns the parts of its heads that are not here.

        Raises
        ------
        InputError : the network is of another size or vocabulary; it is then unchanged.
        """
        if problem := vocabulary_problem(self.vocabulary, network.words.num_embeddings, "the network"):
            raise InputError(f"{self.path}: {problem}")
        own = network.state_dict()
        given = {name: tensor for name, tensor in self.state.items() if name in own}
        absent = [name for name in own if name not in given and not name.startswith(HEAD_PARTS)]
        wrong = absent + [name for name in given if given[name].shape != own[name].shape]
        extra = [name for name in self.state if name not in own and not name.startswith(HEAD_PARTS)]
        if wrong or extra:
            raise InputError(
                f"{self.path} is of another size than the network, in {(wrong or extra)[0]!r}; the network has to have "
                f"{', '.join(f'{name} {value}' for name, value in self.options.items())}"
            )
        network.load_state_dict({**own, **given})
        network.pad = self.pad
        return sorted({name.rpartition(".")[0] or name for name in own if name not in given})


def is_bert_folder(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / CONFIG).is_file()


def read_bert(folder: Path) -> BertFolder:
    """Read a checkpoint, from here or from anywhere.

    Raises
    ------
    InputError : a file is missing or damaged, or it is no BERT of the usual kind.
    """
    config = read_config(folder)
    if not (folder / WEIGHTS).is_file() and (folder / "pytorch_model.bin").is_file():
        raise InputError(
            f"{folder} has its weights in pytorch_model.bin, a pickle, which is not read as it may run anything; save "
            f"them as {WEIGHTS} (from_pretrained, then save_pretrained, where you trust it)"
        )
    state = usual_to_ours(checkpoints.load(folder / WEIGHTS, leave_out=REPEATED).state)
    if "words.weight" not in state or len(state["words.weight"]) != config.vocabulary:
        raise InputError(f"{folder / WEIGHTS} has not the {config.vocabulary} word pieces that {CONFIG} names")
    return BertFolder(folder, config.options, config.vocabulary, config.pad, state)


def of_run(path: Path) -> BertFolder:
    """The checkpoint of a run, from here or from anywhere, whose word pieces are numbered as those of our text.

    Raises
    ------
    InputError : it cannot be read, or is of no BERT.
    """
    checkpoint = checkpoints.load(path)
    if "words.weight" not in checkpoint.state:
        raise InputError(f"{checkpoint} is of no BERT; begin with the checkpoint of a run of the model bert")
    options = {name: value for name, value in checkpoint.description.get("model", {}).items() if name != "name"}
    return BertFolder(path, options, len(checkpoint.state["words.weight"]), 0, checkpoint.state)


def usual_to_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by our names; those of no part of ours keep their names."""
    found = {}
    for name, tensor in state.items():
        usual = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        if usual.startswith(("embeddings.", "encoder.", "pooler.")):  # saved without a head
            usual = f"bert.{usual}"
        part, _, kind = usual.rpartition(".")
        if usual == BIAS:
            found["masked_bias"] = tensor
        elif (layer := LAYER.fullmatch(usual)) and layer[2] in LAYER_PARTS:
            found[f"layers.{layer[1]}.{LAYER_PARTS[layer[2]]}.{layer[3]}"] = tensor
        else:
            found[f"{PARTS[part]}.{kind}" if part in PARTS else usual] = tensor
    return found


def ours_to_usual(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the usual names."""
    parts = {ours: usual for usual, ours in PARTS.items()}
    layers = {ours: usual for usual, ours in LAYER_PARTS.items()}
    found = {}
    for name, tensor in state.items():
        part, _, kind = name.rpartition(".")
        if name == "masked_bias":
            found[BIAS] = tensor
        elif name.startswith("layers."):
            _, number, inner = part.split(".", 2)
            found[f"bert.encoder.layer.{number}.{layers[inner]}.{kind}"] = tensor
        else:
            found[f"{parts[part]}.{kind}"] = tensor
    return found


def write_bert(folder: Path, network: Bert, vocabulary: Tokenizer) -> None:
    """Write a network as a checkpoint folder, which appears whole or not at all.

    Raises
    ------
    InputError : the word pieces are not as many as the network knows.
    """
    size = vocabulary.get_vocab_size()
    if problem := vocabulary_problem(size, network.words.num_embeddings, "the network"):
        raise InputError(f"{folder}: {problem}")
    architecture = next(name for name, kind in HEADS.items() if isinstance(network, kind))
    layer: nn.Module = network.layers[0]
    options = {
        "layers": len(network.layers), "width": network.words.embedding_dim, "heads": layer.attention.heads,
        "ffn": layer.feed_forward.inner.out_features, "longest": network.longest, "dropout": network.dropout,
        "attention_dropout": layer.attention.dropout,
    }  # fmt: skip
    config = {"architectures": [architecture], "vocab_size": size, "pad_token_id": vocabulary.token_to_id(PAD), **FIXED}
    config |= {"initializer_range": DEVIATION, **{usual: options[ours] for usual, ours in OPTIONS.items()}}
    special = {"pad_token": PAD, "unk_token": UNKNOWN, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
    words = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": network.longest, **special}
    with whole_directory(folder) as place:
        (place / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (place / "tokenizer_config.json").write_text(json.dumps(words, indent=2) + "\n")
        vocabulary.save(str(place / VOCABULARY))
        checkpoints.write(place / WEIGHTS, ours_to_usual(network.state_dict()), {"format": "pt"})

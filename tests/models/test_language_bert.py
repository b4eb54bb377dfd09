"""BERT against transformers: logits, and checkpoint folders in both directions; its size and memory."""

import json
import os
from types import SimpleNamespace

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertModel,
    PreTrainedTokenizerFast,
)

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.wordpieces import NAMES, load_vocabulary, word_piece_tokenizer
from workflow_scripts.models import build
from workflow_scripts.models.language.bert import PreTraining, QuestionAnswering
from workflow_scripts.models.language.bert_folder import read_bert, write_bert
from workflow_scripts.models.language.memory import layer_bytes, most_sequences, training_bytes
from workflow_scripts.models.language.size import bert_parameters

SMALL = {"layers": 2, "width": 32, "heads": 4, "ffn": 48, "longest": 24}
THEIRS = {
    "vocab_size": 40, "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 24,
}  # fmt: skip
LARGE = {"layers": 24, "width": 1024, "heads": 16, "ffn": 4096}


@pytest.fixture(scope="module")
def words():
    letters = [chr(97 + number) for number in range(26)]
    names = [*NAMES, *letters, *(f"##{letter}" for letter in letters[:9])]
    return word_piece_tokenizer({name: number for number, name in enumerate(names)}, lowercase=True)


def spread(model, seed=0):
    """Random weights, biases included, that are far enough apart for outputs to differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def windows(seed=0):
    """Tokens with padding after them, and segments."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, 40, (4, 20), generator=generator)
    lengths = torch.tensor([20, 11, 17, 5])
    places = torch.arange(20)
    return tokens.masked_fill(places >= lengths[:, None], 0), (places > 4).long().expand(4, 20)


def test_bert_large_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = PreTraining(30_522, **LARGE)
    assert sum(parameter.numel() for parameter in network.parameters()) == 336_226_108
    assert bert_parameters({**LARGE, "longest": 512}, 30_522) == 336_226_108
    small = sum(parameter.numel() for parameter in PreTraining(40, **SMALL).parameters())
    assert bert_parameters(SMALL, 40) == small


@pytest.mark.parametrize("theirs", [BertForPreTraining, BertForQuestionAnswering])
def test_a_folder_that_transformers_wrote_gives_the_same_logits(theirs, tmp_path):
    model = spread(theirs(BertConfig(**THEIRS)))
    model.save_pretrained(tmp_path)
    folder = read_bert(tmp_path)
    ours = (PreTraining if theirs is BertForPreTraining else QuestionAnswering)(40, **folder.options)
    assert folder.into(ours.eval()) == []
    compare(ours, model)


@pytest.mark.parametrize(
    ("kind", "theirs"), [(PreTraining, BertForPreTraining), (QuestionAnswering, BertForQuestionAnswering)]
)
def test_transformers_reads_a_folder_that_we_wrote(kind, theirs, tmp_path, words):
    ours = spread(kind(40, **SMALL))
    write_bert(tmp_path / "bert", ours, words)
    model, told = theirs.from_pretrained(tmp_path / "bert", output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    compare(ours, model.eval())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bert")
    assert len(tokenizer) == 40
    expected = PreTrainedTokenizerFast(tokenizer_object=words)("abc xY", "d")["input_ids"]
    assert (
        tokenizer("abc xY", "d")["input_ids"]
        == expected
        == load_vocabulary(tmp_path / "bert").encode("abc xY", "d").ids
    )


def compare(ours, theirs):
    """Logits at real places, to 1e-6 of the largest."""
    tokens, segments = windows()
    real = (tokens != 0).flatten().nonzero()[:, 0]
    with torch.no_grad():
        expected = theirs(input_ids=tokens, token_type_ids=segments, attention_mask=(tokens != 0).long())
        if isinstance(ours, PreTraining):
            found = ours(tokens, segments, real)
            pairs = [
                (expected.prediction_logits.flatten(0, 1)[real], found[0]),
                (expected.seq_relationship_logits, found[1]),
            ]
        else:
            found = ours(tokens, segments)
            both = zip((expected.start_logits, expected.end_logits), found, strict=True)
            pairs = [(theirs.flatten()[real], logits.flatten()[real]) for theirs, logits in both]
    for theirs, logits in pairs:
        assert (theirs - logits).abs().max() <= 1e-6 * max(1, theirs.abs().max())


def test_a_folder_without_heads_or_with_old_names_is_read(tmp_path):
    from safetensors.torch import save_file

    model = spread(BertModel(BertConfig(**THEIRS)))
    model.save_pretrained(tmp_path)
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor.clone()
        for name, tensor in model.state_dict().items()
    }
    save_file({**state, "embeddings.position_ids": torch.arange(24)}, tmp_path / "model.safetensors")
    ours = QuestionAnswering(40, **SMALL).eval()
    assert read_bert(tmp_path).into(ours) == ["answer"]
    tokens, segments = windows()
    with torch.no_grad():
        expected = model(
            input_ids=tokens, token_type_ids=segments, attention_mask=(tokens != 0).long()
        ).last_hidden_state
        found = ours.encode(tokens, segments)
    assert (expected - found)[tokens != 0].abs().max() < 1e-5


def test_folders_that_do_not_fit_are_told(tmp_path, words):
    write_bert(tmp_path / "bert", PreTraining(40, **SMALL), words)
    folder = read_bert(tmp_path / "bert")
    for other in (
        PreTraining(48, **SMALL),
        PreTraining(40, **{**SMALL, "ffn": 64}),
        PreTraining(40, **{**SMALL, "layers": 1}),
    ):
        with pytest.raises(InputError):
            folder.into(other)
    with pytest.raises(InputError, match="40 word pieces, but the network has 48"):
        write_bert(tmp_path / "other", PreTraining(48, **SMALL), words)
    assert not (tmp_path / "other").exists()
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    for key, value in [("model_type", "roberta"), ("hidden_act", "relu"), ("vocab_size", 41), ("hidden_size", None)]:
        (tmp_path / "bert" / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(InputError):
            read_bert(tmp_path / "bert")
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config))
    (tmp_path / "bert" / "model.safetensors").rename(tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickle"):
        read_bert(tmp_path / "bert")


def test_recomputing_changes_no_gradient():
    network = spread(PreTraining(40, **{**SMALL, "dropout": 0.1, "attention_dropout": 0.1})).train()
    tokens, segments = windows()
    gradients = []
    for network.recompute in (False, True):
        network.zero_grad()
        torch.manual_seed(3)
        guessed, following = network(tokens, segments, torch.tensor([1, 22, 47]))
        (guessed.square().sum() + following.sum()).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def kept_bytes(network, tokens, segments) -> int:
    """What autograd keeps of a forward pass, each piece of memory once, weights and inputs left out."""
    pieces = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        pieces[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = network.encode(tokens, segments)
    for parameter in network.parameters():
        pieces.pop(parameter.untyped_storage().data_ptr(), None)
    del out
    return sum(size for size, _ in pieces.values())


@pytest.mark.parametrize(("width", "heads", "ffn"), [(64, 4, 256), (96, 2, 128)])
def test_the_count_of_bytes_is_what_torch_keeps(width, heads, ffn):
    sequences, length = 4, 48
    tokens = torch.randint(5, 40, (sequences, length))
    segments = torch.zeros_like(tokens)
    found = []
    for layers in (1, 3):
        # Without dropout, whose choices take a byte on a GPU and four on a CPU.
        options = {"width": width, "heads": heads, "ffn": ffn, "longest": 64, "dropout": 0.0, "attention_dropout": 0.0}
        network = PreTraining(40, layers=layers, **options).train()
        found.append(kept_bytes(network, tokens, segments))
    assert (found[1] - found[0]) / 2 == pytest.approx(layer_bytes(network, half=False) * sequences * length, rel=0.01)
    counted = training_bytes(network, sequences, length, half=False)
    assert counted.activations == pytest.approx(found[1], rel=0.1)
    assert counted.weights == sum(parameter.untyped_storage().nbytes() for parameter in network.parameters())


def test_bert_large_fits_a_gpu_of_80_gb():
    with torch.device("meta"):
        network = PreTraining(30_522, **LARGE)
    memory = 80 * 10**9
    for length, least in [(128, 128), (512, 32)]:
        count = most_sequences(network, length, memory)
        assert count >= least
        assert training_bytes(network, count, length).total < memory < training_bytes(network, 4 * count, length).total
    plain = most_sequences(network, 512, memory)
    network.recompute = True
    assert most_sequences(network, 512, memory) >= 2 * plain


@pytest.mark.parametrize(("form", "kind"), [("documents", PreTraining), ("questions", QuestionAnswering)])
def test_the_form_of_the_text_chooses_the_head(form, kind):
    network = build({"name": "bert", **SMALL}, SimpleNamespace(form=form, vocabulary={"text": 40}))
    assert isinstance(network, kind)
    network.initialise(1.0, torch.Generator().manual_seed(0))
    assert network.words.weight.abs().max() <= 0.04
    assert network.words.weight.std().item() == pytest.approx(0.0176, rel=0.05)  # .02, cut off at two deviations

"""transformers' Marian with the weights of a `Transformer`: the reference for its logits, steps and translations."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is asked of a network

from torch import nn
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from workflow_scripts.datasets.text.pieces import END, PAD, START
from workflow_scripts.models.language.transformer import Transformer

PARTS = {
    "attention": "self_attn", "attention_norm": "self_attn_layer_norm", "norm": "final_layer_norm",
    "cross_attention": "encoder_attn", "cross_attention_norm": "encoder_attn_layer_norm",
    "feed_forward.inner": "fc1", "feed_forward.outer": "fc2",
    "query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj",
}  # fmt: skip


def marian(network: Transformer, attention: str = "sdpa") -> MarianMTModel:
    """The same network with a copy of the weights; all embeddings of its target are one matrix, as there."""
    layer = network.decoder[0]
    config = MarianConfig(
        vocab_size=(network.source_embedding or network.target_embedding).num_embeddings,
        decoder_vocab_size=network.target_embedding.num_embeddings,
        d_model=network.width,
        encoder_layers=len(network.encoder),
        decoder_layers=len(network.decoder),
        encoder_attention_heads=layer.attention.heads,
        decoder_attention_heads=layer.attention.heads,
        encoder_ffn_dim=layer.feed_forward.inner.out_features,
        decoder_ffn_dim=layer.feed_forward.inner.out_features,
        dropout=network.dropout,
        attention_dropout=layer.attention.dropout,
        activation_dropout=layer.feed_forward.dropout,
        activation_function="relu",
        scale_embedding=True,
        share_encoder_decoder_embeddings=False,
        pad_token_id=PAD,
        eos_token_id=END,
        bos_token_id=START,
        decoder_start_token_id=END,
        forced_eos_token_id=None,
        max_position_embeddings=512,
        attn_implementation=attention,
    )
    other = MarianMTModel(config)
    state = {
        "model.decoder.embed_tokens.weight": network.target_embedding.weight,
        "lm_head.weight": network.target_embedding.weight,
        "model.encoder.embed_tokens.weight": (network.source_embedding or network.target_embedding).weight,
    }
    for side in ("encoder", "decoder"):
        for name, parameter in getattr(network, side).named_parameters():
            number, *parts, kind = name.split(".")
            joined = ".".join(parts)
            for ours, theirs in PARTS.items():
                if joined == ours:
                    joined = theirs
            if "." in joined and joined not in PARTS.values():
                joined = ".".join(PARTS.get(part, part) for part in joined.split("."))
            state[f"model.{side}.layers.{number}.{joined}.{kind}"] = parameter
    found = other.load_state_dict({name: tensor.detach().clone() for name, tensor in state.items()}, strict=False)
    assert not found.unexpected_keys
    assert {name.rpartition(".")[0] for name in found.missing_keys} <= {
        "", "model.encoder.embed_positions", "model.decoder.embed_positions", "model.shared"
    }, found.missing_keys  # fmt: skip
    if network.output_embedding is not None:  # Marian's own are always one matrix
        other.lm_head.weight = nn.Parameter(network.output_embedding.weight.detach().clone())
    return other.eval()


def generated(other: nn.Module, source, beams: int, longest: int, penalty: float = 1.0, early: bool = True):
    """Token numbers, without the end mark, of `generate`'s translations."""
    config = GenerationConfig(
        num_beams=beams, max_new_tokens=longest, length_penalty=penalty, early_stopping=early, do_sample=False,
        pad_token_id=PAD, eos_token_id=END, bos_token_id=START, decoder_start_token_id=END,
        suppress_tokens=[START, PAD], use_cache=True,
    )  # fmt: skip
    found = other.generate(source, attention_mask=(source != PAD).long(), generation_config=config)
    return [[token for token in row[1:] if token not in (END, PAD)] for row in found.tolist()]

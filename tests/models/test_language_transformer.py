"""The translation transformer against transformers' Marian, the papers' sizes, and its own decoding step by step."""

import math
from types import SimpleNamespace

import pytest
import torch

from tests.shared.marian import marian
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.text.pieces import END, PAD
from workflow_scripts.models import build
from workflow_scripts.models.language.attention import Attention
from workflow_scripts.models.language.transformer import Transformer, moved, sinusoids

SMALL = {"encoder_layers": 2, "decoder_layers": 2, "width": 32, "heads": 4, "ffn": 48}
TOLERANCE = 1e-6


def network(share="decoder", positions="marian", seed=0, spread=3.0, **options):
    """A small network whose weights are far enough apart for its outputs to differ."""
    made = Transformer(40, 40 if share == "all" else 56, **SMALL, share=share, positions=positions, **options)
    made.initialise(spread, torch.Generator().manual_seed(seed))
    return made.eval()


def sentences(count=6, longest=9, vocabulary=40, seed=0):
    """Token numbers of different lengths, each with its end mark and padding."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, vocabulary, (count, longest), generator=generator)
    lengths = torch.randint(1, longest, (count,), generator=generator)
    lengths[0] = longest - 1
    places = torch.arange(longest)
    return tokens.masked_fill(places > lengths[:, None], PAD).masked_fill(places == lengths[:, None], END)


@pytest.mark.parametrize(
    ("sizes", "options", "parameters"),
    [
        ((40_360, 42_720), {}, 86_675_456),
        ((8_848, 6_632), {"heads": 4, "ffn": 1024}, 39_469_056),
        ((8_848, 6_632), {"heads": 4, "ffn": 1024, "share": "none"}, 42_864_640),
    ],
)
def test_the_papers_numbers_of_trainable_parameters(sizes, options, parameters):
    with torch.device("meta"):
        made = Transformer(*sizes, **options)
    assert sum(p.numel() for p in made.parameters() if p.requires_grad) == parameters
    assert len(made.state_dict()) == len(list(made.parameters()))  # no matrix stands twice in a checkpoint


@pytest.mark.parametrize("share", ["none", "decoder", "all"])
def test_logits_are_those_of_marian(share):
    ours = network(share)
    theirs = marian(ours)
    source, target = sentences(), moved(sentences(vocabulary=40, seed=1))
    with torch.no_grad():
        found = ours(source, target)
        expected = theirs(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target).logits
    real = target != PAD
    assert (found - expected)[real].abs().max() <= TOLERANCE * expected[real].abs().max()


def test_logits_at_chosen_places_are_those_of_all():
    ours = network()
    source, target = sentences(), moved(sentences(seed=1))
    chosen = (target != PAD).flatten().nonzero()[:, 0]
    with torch.no_grad():
        assert torch.allclose(ours(source, target, chosen), ours(source, target).flatten(0, 1)[chosen], atol=1e-6)


def test_padding_changes_nothing():
    ours = network(positions="fairseq")
    source, target = sentences(), moved(sentences(seed=1))
    wide = torch.nn.functional.pad(source, (0, 5), value=PAD)
    with torch.no_grad():
        assert torch.allclose(ours(source, target), ours(wide, target), atol=1e-5)


def test_a_step_at_a_time_gives_the_same_logits_also_for_some_of_the_sentences():
    ours = network()
    source = sentences()
    target = torch.randint(4, 50, (len(source), 20), generator=torch.Generator().manual_seed(2))
    read = moved(target)
    with torch.inference_mode():
        expected = ours(source, read)
        state = ours.begin(source, 2)
        kept = torch.arange(len(source))
        for place in range(read.shape[1]):
            found = state.step(read[kept, place].repeat_interleave(2))
            for beam in (0, 1):
                assert torch.allclose(found[beam::2], expected[kept, place], atol=1e-4)
            if place == 7:
                going = torch.tensor([5, 0, 3])
                state.select(torch.stack([2 * going + 1, 2 * going], 1).flatten(), going)
                kept = kept[going]


@pytest.mark.parametrize(("kind", "first", "divisor"), [("fairseq", 2, 15), ("marian", 0, 16)])
def test_positions_are_sines_and_cosines(kind, first, divisor):
    table = sinusoids(50, 32, kind)
    for place, i in [(0, 0), (7, 3), (49, 15)]:
        angle = (first + place) / 10_000 ** (i / divisor)
        assert table[place, i].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[place, 16 + i].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_initial_weights_are_fairseqs():
    made = Transformer(4000, 4000, width=256, heads=4, ffn=512, encoder_layers=1, decoder_layers=1)
    made.initialise(1.0, torch.Generator().manual_seed(0))
    glorot = math.sqrt(6 / 512)
    layer = made.decoder[0]
    assert made.source_embedding.weight.std().item() == pytest.approx(256**-0.5, rel=0.01)
    assert not made.target_embedding.weight[PAD].any()
    assert layer.cross_attention.key.weight.abs().max().item() == pytest.approx(glorot / math.sqrt(2), rel=0.01)
    assert layer.attention.output.weight.abs().max().item() == pytest.approx(glorot, rel=0.01)
    assert layer.feed_forward.inner.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 768), rel=0.01)
    assert not layer.feed_forward.outer.bias.any()
    assert layer.attention.query.bias.abs().max().item() == pytest.approx(1 / 16, rel=0.05)


def test_targets_are_read_one_place_later():
    target = torch.tensor([[5, 6, END], [7, END, PAD]])
    assert moved(target).tolist() == [[END, 5, 6], [END, 7, PAD]]


def test_attention_hides_what_comes_later_and_what_is_masked():
    torch.manual_seed(0)
    layer = Attention(8, 2).eval()
    x = torch.randn(2, 5, 8)
    changed = x.clone()
    changed[:, 3:] += 1
    assert torch.allclose(layer(x, causal=True)[:, :3], layer(changed, causal=True)[:, :3], atol=1e-6)
    mask = torch.tensor([True, True, True, False, False])[None, None, None]
    assert torch.allclose(layer(x, mask=mask)[:, :3], layer(changed, mask=mask)[:, :3], atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"share": "some"}, {"positions": "learned"}, {"width": 33}, {"heads": 5}, {"share": "all"}]
)
def test_options_that_make_no_sense_are_told(options):
    with pytest.raises(InputError):
        Transformer(40, 56, **{**SMALL, **options})


def test_the_builder_takes_the_vocabularies_of_a_text():
    made = build({"name": "transformer", **SMALL}, SimpleNamespace(vocabulary={"source": 24, "target": 32}))
    assert made.source_embedding.num_embeddings == 24
    assert made.logits(torch.zeros(1, 32)).shape == (1, 32)

"""Checkpoints: what is saved comes back bit for bit, and whatever cannot be a checkpoint is refused in one sentence."""

import json
import pickle
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from workflow_scripts.base.errors import InputError
from workflow_scripts.models import build
from workflow_scripts.models.checkpoints import Checkpoint, into, load, restore, save

INFO = SimpleNamespace(channels=1, classes=10, image_size=8)
SPEC = {"name": "vgg9_bn", "width": 0.1}
DESCRIPTION = {"model": SPEC, "data": "digits", "at": "epoch-30", "run": "0f3a"}


@pytest.fixture(scope="module")
def model():
    """A network whose batch-norm buffers have moved."""
    model = build(SPEC, INFO)
    for _ in range(3):
        model(torch.randn(8, 1, 8, 8))
    return model


@pytest.fixture
def path(model, tmp_path):
    save(tmp_path / "run" / "epoch-30.safetensors", model.state_dict(), DESCRIPTION)
    return tmp_path / "run" / "epoch-30.safetensors"


def same(one: dict, other: dict) -> bool:
    return list(sorted(one)) == list(sorted(other)) and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


# --- round trips ---


def test_a_model_comes_back_with_its_buffers_and_description(model, path):
    checkpoint = load(path)
    assert checkpoint.description == DESCRIPTION
    assert same(checkpoint.state, model.state_dict())
    restored = restore(checkpoint, INFO)
    assert same(restored.state_dict(), model.state_dict())
    assert restored.features[1].num_batches_tracked == 3
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(restored.eval()(x), model.eval()(x))


@pytest.mark.parametrize("name", ["resnet18", "resnet32", "resnet50", "vgg16", "student"])
def test_every_family_comes_back(name, tmp_path):
    spec = {"name": name, "width": 0.1}
    model = build(spec, INFO).to(memory_format=torch.channels_last)
    save(tmp_path / "c.safetensors", model.state_dict(), {"model": spec})
    assert same(restore(load(tmp_path / "c.safetensors"), INFO).state_dict(), model.state_dict())


def test_strided_and_shared_memory_is_saved_plainly(tmp_path):
    flat = torch.arange(24.0)
    state = {
        "whole": flat,
        "view": flat[3:15].view(3, 4).t(),
        "again": flat[3:15].view(3, 4),
        "expanded": torch.ones(1).expand(5),
        "channels_last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
        "half": torch.ones((), dtype=torch.bfloat16),
    }
    save(tmp_path / "c.safetensors", state, {})
    assert same(load(tmp_path / "c.safetensors").state, state)


def test_the_same_state_gives_the_same_bytes(model, path, tmp_path):
    shuffled = dict(reversed(DESCRIPTION.items()))
    save(tmp_path / "again.safetensors", model.state_dict(), shuffled)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_changing_what_was_loaded_leaves_the_file_alone(path):
    before = path.read_bytes()
    state = load(path).state
    state["features.0.weight"].zero_()
    assert path.read_bytes() == before
    assert load(path).state["features.0.weight"].abs().sum() > 0


def test_a_checkpoint_may_be_replaced_while_it_is_in_use(model, path):
    held = load(path).state
    save(path, {name: torch.zeros_like(tensor) for name, tensor in held.items()}, DESCRIPTION)
    assert same(held, model.state_dict())


def test_nothing_is_left_when_saving_fails(model, tmp_path):
    with pytest.raises(TypeError):
        save(tmp_path / "c.safetensors", model.state_dict(), {"at": object()})
    with pytest.raises(InputError, match=r"'weight' is list; a checkpoint holds torch.Tensors"):
        save(tmp_path / "c.safetensors", {"weight": [1.0]}, {})
    assert list(tmp_path.iterdir()) == []


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda leaf: st.lists(leaf, max_size=3) | st.dictionaries(st.text(max_size=4), leaf, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_json_description_comes_back(tmp_path_factory, description):
    path = tmp_path_factory.mktemp("description") / "c.safetensors"
    save(path, {"weight": torch.ones(2)}, description)
    assert load(path).description == description


# --- files that are no checkpoints ---


@pytest.mark.parametrize("make_directory", [False, True])
def test_a_missing_file_is_told(tmp_path, make_directory):
    if make_directory:
        (tmp_path / "c.safetensors").mkdir()
    with pytest.raises(InputError, match=r"there is no checkpoint at .*c\.safetensors; train it first"):
        load(tmp_path / "c.safetensors")


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_anywhere_is_told(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "c.safetensors"
    save(path, {"weight": torch.ones(40)}, DESCRIPTION)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="is cut short or not a safetensors file"):
        load(path)


def test_other_kinds_of_file_are_told_and_no_pickle_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    path = tmp_path / "c.safetensors"
    for write in (
        lambda: torch.save({"weight": torch.ones(2)}, path),
        lambda: path.write_bytes(pickle.dumps(Trap())),
        lambda: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
    ):
        write()
        with pytest.raises(InputError, match=r"not a safetensors file .* if it came from torch\.save"):
            load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_diverged_state_loads_only_where_it_is_allowed(tmp_path, value):
    path = tmp_path / "c.safetensors"
    save(path, {"a": torch.ones(3), "b": torch.tensor([1.0, value])}, {})
    with pytest.raises(InputError, match="NaN or infinite values in 'b': that training diverged"):
        load(path)
    assert not load(path, allow_non_finite=True).state["b"].isfinite().all()


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("weight", torch.ones(2, dtype=torch.int64)),
        ("weight", torch.ones(2, dtype=torch.uint8)),
        ("weight", torch.ones(2, dtype=torch.bool)),
        ("bn.num_batches_tracked", torch.ones((), dtype=torch.bool)),
    ],
)
def test_values_that_are_no_weights_are_told(tmp_path, name, tensor):
    save_file({name: tensor}, tmp_path / "c.safetensors")
    with pytest.raises(InputError, match=rf"has torch\.\w+ values in '{name}'"):
        load(tmp_path / "c.safetensors")


def test_a_file_without_tensors_is_told(tmp_path):
    save(tmp_path / "c.safetensors", {}, {})
    with pytest.raises(InputError, match="holds no tensors"):
        load(tmp_path / "c.safetensors")


@pytest.mark.parametrize("text", ["epoch 30", "[1, 2]", "3"])
def test_a_description_that_is_no_json_object_is_told(tmp_path, text):
    save_file({"weight": torch.ones(2)}, tmp_path / "c.safetensors", metadata={"description": text})
    with pytest.raises(InputError, match="a description that is not a JSON object"):
        load(tmp_path / "c.safetensors")


# --- checkpoints of another model ---


def test_the_first_tensor_of_another_shape_is_named_with_both_models(path):
    other = build({"name": "vgg9_bn", "width": 0.2}, INFO)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(InputError) as error:
        into(other, load(path))
    sentence = str(error.value)
    assert str(path) in sentence and json.dumps(SPEC) in sentence and "\n" not in sentence
    assert "is a checkpoint of another model" in sentence
    assert "tensor 'features.0.weight' is (6, 1, 3, 3) there and (13, 1, 3, 3) in VGG" in sentence
    assert same(before, other.state_dict())


def test_a_missing_and_a_superfluous_tensor_are_named(model):
    state = model.state_dict()
    short = Checkpoint({name: tensor for name, tensor in state.items() if name != "classifier.6.bias"})
    with pytest.raises(InputError, match=r"'classifier\.6\.bias' is absent there and \(10,\) in VGG"):
        into(build(SPEC, INFO), short)
    with pytest.raises(InputError, match=r"'extra' is \(2,\) there and absent in VGG"):
        into(build(SPEC, INFO), Checkpoint({**state, "extra": torch.ones(2)}))


def test_the_data_must_have_the_classes_that_were_trained(path):
    with pytest.raises(InputError, match=r"'classifier\.6\.weight' is \(10, 51\) there and \(3, 51\)"):
        restore(load(path), SimpleNamespace(channels=1, classes=3, image_size=8))


def test_anyones_checkpoint_is_restored_by_naming_its_model(model, tmp_path):
    path = tmp_path / "theirs.safetensors"
    save_file(dict(model.state_dict()), path, metadata={"format": "pt"})
    checkpoint = load(path)
    assert checkpoint.description == {}
    assert same(restore(checkpoint, INFO, SPEC).state_dict(), model.state_dict())
    with pytest.raises(InputError, match="does not say of which model it is; name the model"):
        restore(checkpoint, INFO)


PREFIXES = ["module.", "_orig_mod.", "model.", "state_dict.", "module._orig_mod.", "state_dict.model.module."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_every_name_are_taken_off(model, tmp_path, prefix):
    path = tmp_path / "theirs.safetensors"
    save_file({prefix + name: tensor for name, tensor in model.state_dict().items()}, path)
    assert same(restore(load(path), INFO, SPEC).state_dict(), model.state_dict())


def test_a_model_keeps_the_prefixes_of_its_own():
    inner = torch.nn.Linear(2, 3)
    own = torch.nn.Sequential(OrderedDict(model=inner))
    assert into(own, Checkpoint({"model.weight": torch.ones(3, 2), "model.bias": torch.ones(3)})) is own
    assert (inner.weight == 1).all()
    into(own, Checkpoint({"module.model.weight": torch.zeros(3, 2), "module.model.bias": torch.ones(3)}))
    assert (inner.weight == 0).all()


@pytest.mark.parametrize("prefix", ["model", "encoder.net"])
def test_a_prefix_that_is_not_taken_off_is_named(model, prefix):
    state = {f"{prefix}.{name}": tensor for name, tensor in model.state_dict().items()}
    with pytest.raises(
        InputError, match=rf"there it is called '{prefix}\.features\.0\.weight': .* '{prefix}\.' before"
    ):
        into(build(SPEC, INFO), Checkpoint({**state, "criterion.weight": torch.ones(2)}))


def test_counters_of_batch_norm_may_be_missing_or_of_another_kind(model, tmp_path):
    state = model.state_dict()
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    plain = {name: tensor for name, tensor in state.items() if name not in counters}
    fresh = build(SPEC, INFO)
    fresh.load_state_dict(model.state_dict())
    into(fresh, Checkpoint(plain))
    assert same({**state, **dict.fromkeys(counters, torch.tensor(0))}, fresh.state_dict())
    with pytest.raises(InputError, match=r"num_batches_tracked' is \(3,\) there and \(\) in VGG"):
        into(fresh, Checkpoint(plain | {name: torch.zeros(3) for name in counters}))
    for kind in (torch.int32, torch.float32):
        save_file(plain | {name: torch.full((1,), 3, dtype=kind) for name in counters}, tmp_path / "c.safetensors")
        assert same(into(fresh, load(tmp_path / "c.safetensors")).state_dict(), state)


def test_naming_the_model_that_a_checkpoint_describes_must_agree(model, path):
    agreed = {"width": 0.1, "name": "vgg9_bn", "dropout": 0.5}
    assert same(restore(load(path), INFO, agreed).state_dict(), model.state_dict())
    with pytest.raises(InputError, match=r"is a checkpoint of another model than \{\"name\": \"vgg9_bn\"\}"):
        restore(load(path), INFO, {"name": "vgg9_bn"})


def test_a_shared_checkpoint_cannot_call_functions(tmp_path):
    save(tmp_path / "c.safetensors", {"weight": torch.ones(1)}, {"model": {"name": "os:system"}})
    with pytest.raises(InputError, match="its first parameter must be `info`"):
        restore(load(tmp_path / "c.safetensors"), INFO)

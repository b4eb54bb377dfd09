"""The engine trains as a plain loop does, to the same bits each time, and a divergence is a result."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.shared.recipes import RECIPE, Kept, small_recipe
from workflow_scripts import models
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.datasets.sampling import epoch_indices, generator
from workflow_scripts.evidence.tables import read_table
from workflow_scripts.models import checkpoints
from workflow_scripts.models.vision.initialise import initialise
from workflow_scripts.tasks import task_of
from workflow_scripts.tasks.distillation import Distillation, distillation_loss
from workflow_scripts.training import engine, optimizers
from workflow_scripts.training.job import Job, Trainer, export
from workflow_scripts.training.settings import Settings

STEPS = math.ceil(RECIPE["samples_per_epoch"] / RECIPE["batch_size"])
BATCH_NORM = {"name": "vgg9_bn", "width": 0.0625, "dropout": 0.0, "smallest_side": 2}
STUDENT = {"name": "student", "width": 0.0625, "c1": 64, "c2": 128, "f1": 256, "f2": 128}


def trained(recipe, tiny_data, teacher=None):
    """A whole training: its progress and the states after each update."""
    task = Distillation(recipe, tiny_data, teacher) if teacher else task_of(recipe, tiny_data)
    every = {f"iteration-{step}": step for step in range(recipe["epochs"] * task.steps + 1)}
    progress, observer = engine.begin(recipe, task, every), Kept()
    engine.train(recipe, task, progress, every, observer)
    return progress, {every[label]: state for label, state in observer.states.items()}


class Snapshots(Kept):
    """An observer that takes a snapshot whenever it can."""

    def __init__(self):
        super().__init__()
        self.taken = []

    def snapshot_is_due(self):
        return True

    def snapshot(self, progress):
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in progress.tensors().items()}
        self.taken.append((tensors, copy.deepcopy(progress.facts())))

    epoch_ended = snapshot


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def difference(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one if one[name].is_floating_point())


# --- an independent loop ---------------------------------------------------------------------------------------------


def plain_images(tiny_data, recipe, epoch):
    """The un-augmented batches of an epoch, from the definition of the stream of permutations."""
    n, samples = len(tiny_data.x["train"]), recipe["samples_per_epoch"]
    orders = [torch.randperm(n, generator=generator(recipe["seed"], "order", number)) for number in range(20)]
    chosen = torch.cat(orders)[(epoch - 1) * samples : epoch * samples]
    for part in chosen.split(recipe["batch_size"]):
        yield tiny_data.normalise(tiny_data.x["train"][part]), tiny_data.y["train"][part]


def plain_rate(recipe, step, steps):
    """Step decay with linear warmup, as the papers describe them."""
    schedule = recipe["schedule"]
    epoch = (step - 1) // steps
    rate = schedule["lr"] * schedule["factor"] ** sum(milestone <= epoch for milestone in schedule["milestones"])
    ramp = schedule.get("warmup", {"epochs": 0})["epochs"] * steps
    return rate * step / ramp if step < ramp else rate


def plain_training(recipe, tiny_data, loss=F.cross_entropy):
    """Weights after each update of SGD or Adam, written out by hand; no fused kernels, no sets of parameters."""
    model = models.build(recipe["model"], tiny_data.info)
    initialise(model, recipe["initialisation"]["variance"], seed=generator(recipe["seed"], "initialisation"))
    model.to(memory_format=torch.channels_last)
    frozen = recipe["freeze"] or {"part": "-", "steps": 0}
    spec, memory, step = recipe["optimizer"], {}, 0
    steps = math.ceil(recipe["samples_per_epoch"] / recipe["batch_size"])
    states = {0: {name: tensor.clone() for name, tensor in model.state_dict().items()}}
    for epoch in range(1, recipe["epochs"] + 1):
        for images, labels in plain_images(tiny_data, recipe, epoch):
            step += 1
            model.train()
            model.zero_grad()
            value = loss(model(images), labels) if loss is F.cross_entropy else loss(model(images), images)
            value.backward()
            rate = plain_rate(recipe, step, steps)
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if name.startswith(frozen["part"]) and step <= frozen["steps"]:
                        continue
                    gradient = weight.grad + spec["weight_decay"] * weight
                    if spec["name"] == "sgd":
                        memory[name] = 0.9 * memory[name] + gradient if name in memory else gradient
                        weight -= rate * memory[name]
                        continue
                    mean, square, count = memory.get(name, (torch.zeros_like(weight), torch.zeros_like(weight), 0))
                    mean, square, count = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2, count + 1
                    memory[name] = mean, square, count
                    corrected = (square / (1 - 0.999**count)).sqrt() + 1e-8
                    weight -= rate * mean / (1 - 0.9**count) / corrected
            states[step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return states


ADAM = {"name": "adam", "weight_decay": 5e-4}
SLOW = {"name": "step", "lr": 1e-3, "factor": 0.2, "milestones": [1]}


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"optimizer": ADAM, "schedule": SLOW},
        {"model": BATCH_NORM},
        {"schedule": {**SLOW, "lr": 0.05, "milestones": [2], "warmup": {"epochs": 4 / 3}}},
        {"freeze": {"part": "classifier", "steps": 4}},
        {"freeze": {"part": "classifier", "steps": 4}, "optimizer": ADAM, "schedule": SLOW},
        {"model": {"name": "resnet18", "width": 0.0625}, "samples_per_epoch": 120, "batch_size": 120, "epochs": 2},
    ],
    ids=["sgd", "adam", "batch norm", "warmup", "freeze", "freeze and adam", "the whole set at once"],
)
def test_it_trains_as_a_plain_loop_does(tiny_data, own):
    recipe = small_recipe(augment=False, **{"epochs": 3, **own})
    ours, plain = trained(recipe, tiny_data)[1], plain_training(recipe, tiny_data)
    assert ours.keys() == plain.keys()
    assert equal(ours[0], plain[0])
    for step in plain:
        assert difference(ours[step], plain[step]) < 2e-6, step
    assert difference(ours[0], ours[max(ours)]) > 1e-3


@pytest.mark.parametrize("squared", [True, False])
def test_distillation_is_the_soft_cross_entropy(tiny_data, squared):
    teacher = models.build(RECIPE["model"], tiny_data.info)
    initialise(teacher, 1.0, seed=9)
    teacher.eval()

    def soft_cross_entropy(logits, images):
        target = F.softmax(teacher(images).detach() / 5, dim=1)
        return (25 if squared else 1) * -(target * F.log_softmax(logits / 5, dim=1)).sum(1).mean()

    soft = {"teacher": {"run": "x", "at": "y", "model": {}}, "temperature": 5, "scale_by_temperature_squared": squared}
    recipe = small_recipe(model=STUDENT, augment=False, epochs=2, distillation=soft)
    ours, plain = trained(recipe, tiny_data, teacher)[1], plain_training(recipe, tiny_data, soft_cross_entropy)
    assert all(difference(ours[step], plain[step]) < 2e-6 for step in plain)
    assert difference(ours[0], ours[6]) > 1e-4


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(2, 12), st.floats(0.5, 20), st.integers(0, 2**31))
def test_the_distillation_loss_is_its_closed_form(batch, classes, temperature, seed):
    random = np.random.default_rng(seed)
    student, teacher = random.normal(0, 3, (2, batch, classes))

    def softmax(logits):
        powers = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
        return powers / powers.sum(1, keepdims=True)

    p, q = softmax(teacher), softmax(student)
    tensor = torch.tensor(student, requires_grad=True)
    loss = distillation_loss(tensor, torch.tensor(teacher), temperature) / batch  # the engine divides
    loss.backward()
    assert loss.item() == pytest.approx((p * np.log(p / q)).sum() / batch, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(tensor.grad.numpy(), (q - p) / temperature / batch, atol=1e-12)


# --- freezing --------------------------------------------------------------------------------------------------------


def test_a_frozen_part_keeps_its_bits_and_begins_without_momentum(tiny_data):
    recipe = small_recipe(freeze={"part": "classifier", "steps": 4}, augment=False)
    progress, states = trained(recipe, tiny_data)
    head = [name for name in states[0] if name.startswith("classifier") and name.endswith("weight")]
    for step in range(5):
        assert all(
            torch.equal(states[step][name], states[0][name]) for name in states[0] if name.startswith("classifier")
        )
        assert step == 0 or not torch.equal(states[step]["features.0.weight"], states[step - 1]["features.0.weight"])
    assert all(not torch.equal(states[5][name], states[4][name]) for name in head)
    assert all(parameter.requires_grad for parameter in progress.model.parameters())
    # Its first update is a plain gradient step, whatever momentum the rest has gathered by then.
    model = models.build(recipe["model"], tiny_data.info)
    model.load_state_dict(states[4])
    images, labels = list(plain_images(tiny_data, recipe, 2))[1]
    F.cross_entropy(model.train()(images), labels).backward()
    for name in head:
        weight = model.get_parameter(name)
        gradient = weight.grad + recipe["optimizer"]["weight_decay"] * weight.detach()
        step = (states[4][name] - states[5][name]) / recipe["schedule"]["lr"]
        np.testing.assert_allclose(step.numpy(), gradient.numpy(), atol=2e-5)


def test_a_part_that_does_not_exist_is_told(tiny_data):
    with pytest.raises(InputError, match="no part 'clasifier' to freeze; choose one of features, classifier"):
        trained(small_recipe(freeze={"part": "clasifier", "steps": 4}), tiny_data)


# --- bits ------------------------------------------------------------------------------------------------------------


WAYS = {
    "sgd": {},
    "adam": {"optimizer": ADAM, "schedule": SLOW},
    "batch norm and dropout": {"model": {**BATCH_NORM, "dropout": 0.5}},
    "freeze": {"freeze": {"part": "classifier", "steps": 4}},
    "large batches": {"batch_size": 100, "samples_per_epoch": 100},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_recipe_gives_the_same_bits_also_when_it_goes_on(tiny_data, way):
    """A training that goes on from what its snapshot kept, after any of its epochs, ends as one that never stopped."""
    recipe, observer = small_recipe(**WAYS[way]), Snapshots()
    task, labels = task_of(recipe, tiny_data), {"iteration-2": 2, "best": 12, "average-2": 12}
    whole = engine.begin(recipe, task, labels)
    engine.train(recipe, task, whole, labels, observer)
    torch.manual_seed(99)  # nothing may hang on the global generator
    assert len(observer.taken) == recipe["epochs"] * task.steps  # inside epochs too
    for tensors, facts in observer.taken:
        again, follower = engine.begin(recipe, task, labels), Kept()
        again.load(tensors, facts)
        engine.train(recipe, task, again, labels, follower)
        assert equal(again.tensors(), whole.tensors()), f"resumed after {facts.epoch} epochs, {facts.update} updates"
        assert all(equal(state, observer.states[label]) for label, state in follower.states.items())
        assert {"best", "average-2"} <= set(follower.states) or facts.epoch == recipe["epochs"]


def test_seeds_and_augmentation_matter(tiny_data):
    plain, augmented = (trained(small_recipe(augment=augment), tiny_data)[1] for augment in (False, True))
    other = trained(small_recipe(augment=False, seed=2), tiny_data)[1]
    assert equal(plain[0], augmented[0]) and not equal(plain[1], augmented[1])
    assert not equal(plain[0], other[0])
    batches = {
        augment: [images for images, _ in tiny_data.epoch_batches(1, 1, 16, 40, augment)] for augment in (False, True)
    }
    again = [images for images, _ in tiny_data.epoch_batches(1, 1, 16, 40, True)]
    assert all(map(torch.equal, batches[True], again))
    assert not any(map(torch.equal, batches[True], batches[False]))
    labels = [
        [labels.tolist() for _, labels in tiny_data.epoch_batches(1, 1, 16, 40, augment)] for augment in (False, True)
    ]
    assert labels[0] == labels[1]


# --- metrics and sampling --------------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_passes(tiny_data):
    """Training metrics are of the updates' own batches, test metrics of the network as an epoch leaves it."""
    recipe = small_recipe(augment=False, epochs=2, evaluate_every=2)
    progress, states = trained(recipe, tiny_data)
    model = models.build(recipe["model"], tiny_data.info)
    for epoch in (1, 2):
        losses, hits = [], 0
        for step, (images, labels) in enumerate(plain_images(tiny_data, recipe, epoch), (epoch - 1) * STEPS):
            model.load_state_dict(states[step])
            logits = model.train()(images)
            losses += F.cross_entropy(logits, labels, reduction="none").tolist()
            hits += int((logits.argmax(1) == labels).sum())
        row = dict(
            zip(
                ("step", "epoch", "rate", "loss", "accuracy", "test_loss", "test_accuracy", "test_top5"),
                progress.history.rows[epoch - 1],
                strict=True,
            )
        )
        assert (row["step"], row["epoch"], row["rate"]) == (epoch * STEPS, epoch, recipe["schedule"]["lr"])
        assert row["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
        assert row["accuracy"] == pytest.approx(100 * hits / 40)
    assert math.isnan(progress.history.rows[0][5])
    model.load_state_dict(states[2 * STEPS])
    logits = model.eval()(tiny_data.normalise(tiny_data.x["test"]))
    assert row["test_loss"] == pytest.approx(F.cross_entropy(logits, tiny_data.y["test"]).item(), rel=1e-5)
    assert row["test_accuracy"] == 100 * (logits.argmax(1) == tiny_data.y["test"]).sum().item() / 40
    above = (logits > logits.gather(1, tiny_data.y["test"][:, None])).sum(1)
    assert row["test_top5"] == 100 * (above < 5).sum().item() / 40 > row["test_accuracy"]
    table = progress.history.table("abc")
    assert table[table.metric == "learning_rate"].value.tolist() == [recipe["schedule"]["lr"]] * 2
    assert table[table.split == "test"].epoch.tolist() == [2.0, 2.0, 2.0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 100), st.integers(1, 8), st.integers(0, 2**31))
def test_every_image_comes_once_in_each_pass(images, samples, epochs, seed):
    stream = torch.cat([epoch_indices(images, seed, epoch, samples) for epoch in range(1, epochs + 1)])
    assert len(stream) == epochs * samples
    for part in stream.split(images):
        assert len(set(part.tolist())) == len(part)
    assert stream.min() >= 0 and stream.max() < images


def test_passes_differ_and_epochs_do_not_depend_on_those_before():
    one, two = epoch_indices(50, 3, 1, 50), epoch_indices(50, 3, 2, 50)
    assert not torch.equal(one, two)
    assert torch.equal(torch.cat([one, two])[60:80], epoch_indices(50, 3, 4, 20))
    assert not torch.equal(one, epoch_indices(50, 4, 1, 50))


# --- batches of any size ---------------------------------------------------------------------------------------------


def test_a_batch_of_one_image_trains(tiny_data):
    recipe = small_recipe(batch_size=1, samples_per_epoch=3, epochs=2, schedule={"name": "constant", "lr": 1e-3})
    progress, states = trained(recipe, tiny_data)
    assert progress.diverged is None and len(states) == 7


@pytest.mark.parametrize(("batch", "samples"), [(1, 3), (16, 33)])
def test_batch_norm_of_one_image_trains_or_is_told(tiny_data, batch, samples):
    """Where a layer sees one pixel of one image there is nothing to normalise over."""
    recipe = small_recipe(model={"name": "vgg11_bn", "width": 0.0625}, batch_size=batch, samples_per_epoch=samples)
    with pytest.raises(InputError, match=r"cannot be trained on a batch of one image .*choose a batch_size"):
        trained(recipe, tiny_data)
    spread = small_recipe(model=BATCH_NORM, batch_size=batch, samples_per_epoch=samples, epochs=1)
    assert trained(spread, tiny_data)[0].epoch == 1


def test_a_network_that_takes_images_of_one_size_is_told_before_it_trains(tiny_data):
    """Its linear layers fit the features of that size alone. ResNets take all sizes, and any network the data's own."""
    phases = [[2, 4], [2, 8]]
    with pytest.raises(
        InputError, match=r"images of 4 pixels, but vgg9 takes those of 8 alone, .*leave image_sides out"
    ):
        task_of({**RECIPE, "image_sides": phases}, tiny_data).model()
    own = {**RECIPE, "image_sides": [[4, 8]]}
    assert task_of(own, tiny_data).model().training
    resnet = {**own, "image_sides": phases, "model": {"name": "resnet10", "width": 0.125}}
    one, other = (
        task_of(recipe, tiny_data).model().state_dict() for recipe in (resnet, {**resnet, "image_sides": None})
    )
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())  # trying sizes leaves nothing behind


def test_an_epoch_may_be_several_passes(tiny_data):
    progress, _ = trained(small_recipe(samples_per_epoch=300, batch_size=150, epochs=1), tiny_data)
    assert progress.epoch == 1


# --- optimizers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"name": "lion"}, "no optimizer 'lion'; choose one of sgd, adam"),
        ({"name": "sgd", "betas": [0.9, 0.99]}, "sgd has no 'betas'"),
        ({"name": "sgd", "momentum": 0.0, "nesterov": True}, "sgd cannot take the options"),
    ],
)
def test_an_optimizer_that_cannot_be_is_told(spec, sentence):
    with pytest.raises(InputError, match=sentence):
        optimizers.build(spec, torch.nn.Linear(2, 1))


# --- divergence ------------------------------------------------------------------------------------------------------

HUGE = {"name": "piecewise", "rates": [[2, 0.01], [2, 1e20]]}


def test_a_divergence_is_recorded_where_it_happens(tiny_data):
    """The rate explodes at update 7: update 8 is the first with a loss that is no number."""
    recipe = small_recipe(schedule=HUGE, augment=False)
    progress, states = trained(recipe, tiny_data)
    first = first_broken_loss(recipe, tiny_data, states)
    assert progress.diverged == {"step": first, "epoch": first / STEPS, "reason": "the training loss became non-finite"}
    assert first == 8 and progress.epoch == 3 and len(progress.history.rows) == 3
    assert max(states) < first and all(engine.is_finite(state.values()) for state in states.values())


def first_broken_loss(recipe, tiny_data, states):
    model = models.build(recipe["model"], tiny_data.info)
    for epoch in range(1, recipe["epochs"] + 1):
        for step, (images, labels) in enumerate(plain_images(tiny_data, recipe, epoch), (epoch - 1) * STEPS):
            if step not in states:  # an update made the weights so large that they were not worth saving
                return step + 1
            model.load_state_dict(states[step])
            if not F.cross_entropy(model(images), labels).isfinite():
                return step + 1
    return None


def test_weights_that_the_last_update_breaks_are_no_result(tiny_data):
    recipe = small_recipe(epochs=2, schedule={"name": "piecewise", "rates": [[1, 0.01], [1, 1e39]]}, batch_size=40)
    progress, states = trained(recipe, tiny_data)
    assert progress.diverged == {"step": 2, "epoch": 2.0, "reason": "the weights became non-finite"}
    assert set(states) == {0, 1}


def job_of(recipe, **checkpoints):
    return Job(recipe, {label.replace("_", "-"): step for label, step in checkpoints.items()})


def finish(job, tiny, folder, teacher=None):
    store = Trainer(Settings(tiny, folder / "store", "cpu")).finish(job, teacher)
    export(store, job, folder / "runs" / job.id)
    out = folder / "runs" / job.id
    table = read_table(out / "metrics.parquet", "metrics")
    return table, {path.stem: checkpoints.load(path) for path in (out / "checkpoints").iterdir()}, store


def test_a_diverged_run_ends_with_a_table_and_the_checkpoints_before(tiny, tmp_path):
    job = job_of(small_recipe(schedule=HUGE), epoch_1=3, epoch_2=6, epoch_3=9, epoch_4=12)
    table, saved, store = finish(job, tiny, tmp_path)
    assert table.diverged and table.status["step"] == 8 and table.status["run"] == job.id
    assert set(saved) == {"epoch-1", "epoch-2"}
    assert table.frame.epoch.max() == 3 and table.frame.value.isna().any()
    before = (store.folder / "metrics.parquet").stat().st_mtime_ns
    finish(job, tiny, tmp_path)
    assert (store.folder / "metrics.parquet").stat().st_mtime_ns == before  # a divergence is not tried again


def test_the_fallback_takes_over_and_both_are_told(tiny, tmp_path):
    explosive = {"initialisation": {"variance": 1e12}, "fallback": {"initialisation": {"variance": 1.5}}}
    job = job_of(small_recipe(**explosive), epoch_4=12)
    table, saved, _ = finish(job, tiny, tmp_path)
    assert table.status["state"] == "finished" and len(table.status["attempts"]) == 1
    attempt = table.status["attempts"][0]
    assert attempt["run"] == job.id and attempt["step"] <= 2 and "non-finite" in attempt["reason"]
    plain = job_of(small_recipe(initialisation={"variance": 1.5}), epoch_4=12)
    expected, its, _ = finish(plain, tiny, tmp_path)
    assert equal(saved["epoch-4"].state, its["epoch-4"].state)
    assert table.frame.value.tolist() == expected.frame.value.tolist()


def test_a_fallback_that_diverges_earlier_leaves_nothing_of_the_first_attempt(tiny, tmp_path):
    recipe = small_recipe(schedule=HUGE, fallback={"initialisation": {"variance": 1e12}})
    table, saved, _ = finish(job_of(recipe, epoch_1=3, epoch_2=6), tiny, tmp_path)
    assert table.diverged and table.status["attempts"][0]["step"] == 8 and table.status["step"] <= 2
    assert not saved


def test_students_of_a_diverged_teacher_are_told_and_stop_nothing(tiny, tmp_path):
    teacher = job_of(small_recipe(schedule=HUGE), epoch_4=12)
    finish(teacher, tiny, tmp_path)
    soft = {
        "teacher": {"run": teacher.id, "at": "epoch-4", "model": RECIPE["model"]},
        "temperature": 5,
        "scale_by_temperature_squared": True,
    }
    student = job_of(small_recipe(model=STUDENT, distillation=soft), epoch_4=12)
    table, saved, _ = finish(student, tiny, tmp_path, student.source(tmp_path / "runs"))
    assert table.diverged and table.frame.empty and not saved
    assert "teacher" in table.status["reason"]


def test_a_student_learns_from_a_checkpoint(tiny, tmp_path, tiny_data):
    teacher = job_of(small_recipe(), epoch_4=12)
    _, saved, _ = finish(teacher, tiny, tmp_path)
    soft = {
        "teacher": {"run": teacher.id, "at": "epoch-4", "model": RECIPE["model"]},
        "temperature": 5,
        "scale_by_temperature_squared": True,
    }
    student = job_of(small_recipe(model=STUDENT, distillation=soft), epoch_4=12)
    _, its, _ = finish(student, tiny, tmp_path, student.source(tmp_path / "runs"))
    network = checkpoints.restore(saved["epoch-4"], tiny_data.info).eval()
    direct = trained(student.recipe, tiny_data, network)[1]
    assert equal(its["epoch-4"].state, direct[12])
    with pytest.raises(InputError, match="distils a teacher; name the teacher's checkpoint with --teacher"):
        Trainer(Settings(tiny, tmp_path / "other", "cpu")).finish(student)
    with pytest.raises(InputError, match=r"there is no checkpoint at .*nowhere"):
        Trainer(Settings(tiny, tmp_path / "other", "cpu")).finish(student, tmp_path / "nowhere.safetensors")


def test_only_what_is_asked_for_is_saved(tiny, tmp_path):
    table, saved, store = finish(job_of(small_recipe(), iteration_0=0, iteration_5=5, epoch_4=12), tiny, tmp_path)
    assert set(saved) == {"iteration-0", "iteration-5", "epoch-4"}
    assert {path.stem for path in (store.folder / "checkpoints").iterdir()} == set(saved)
    assert saved["iteration-5"].description == {
        "model": RECIPE["model"], "data": "tiny", "at": "iteration-5", "run": store.folder.name,
    }  # fmt: skip
    assert table.status == {"state": "finished"} and table.provenance["fingerprints"] == [store.folder.name]
    assert finish(job_of(small_recipe(seed=5)), tiny, tmp_path)[1] == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_trains_on_cuda_and_goes_on_there(tiny):
    from workflow_scripts.datasets.images.arrays import load

    there = InMemoryData(load(tiny), "cuda")
    recipe = small_recipe(schedule={"name": "constant", "lr": 0.05}, epochs=10, samples_per_epoch=120)
    progress, states = trained(recipe, there)
    assert progress.diverged is None
    assert progress.history.rows[-1][3] < progress.history.rows[0][3]
    assert all(engine.is_finite(state.values()) for state in states.values())

"""Learning-rate schedules against torch, closed forms and invariants."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base.errors import InputError
from workflow_scripts.recipes.schedules import SCHEDULES, check, learning_rate, rates, scaled

EXAMPLES = {
    "constant": {"lr": 0.1},
    "step": {"lr": 0.05, "factor": 0.2, "milestones": [3, 7]},
    "piecewise": {"rates": [[2, 0.1], [5, 0.01], [5, 0.001]]},
    "linear": {"lr": 0.1},
    "cosine": {"lr": 0.1, "final": 0.001},
    "cosine_restarts": {"lr": 0.05, "final": 1e-6, "first_cycle": 1},
    "knee": {"lr": 0.1, "explore": 6},
    "one_cycle": {"lr": 0.1},
    "phases": {"phases": [[5, {"name": "constant", "lr": 0.1}], [7, {"name": "linear", "lr": 0.1}]]},
    "exponential_range": {"lr_min": 1e-6, "lr_max": 10.0},
    "inverse_sqrt": {"lr": 7e-4, "warmup": {"epochs": 2}},
    "hold_then_linear": {"lr": 0.015},
}
PER_EPOCH = ("constant", "step", "piecewise", "cosine_restarts")
EPOCHS = 12


def declaration(name, **more):
    return {"name": name} | EXAMPLES[name] | more


def torch_rates(make, steps, lr):
    """What a torch scheduler gives for steps updates, stepped after each."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    given_rates = []
    for _ in range(steps):
        given_rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(given_rates)


def test_every_schedule_has_an_example():
    assert set(EXAMPLES) == set(SCHEDULES)
    assert [problem for name in EXAMPLES for problem in check(declaration(name), EPOCHS)] == []


def test_step_decay_is_torchs_multistep():
    spec = {"name": "step", "lr": 0.05, "factor": 0.2, "milestones": [60, 120, 160]}
    ours = rates(spec, 1, 200)
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [60, 120, 160], gamma=0.2), 200, 0.05)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_restarts_are_torchs_warm_restarts(per):
    spec = {"name": "cosine_restarts", "lr": 0.05, "final": 1e-6, "first_cycle": 10, "cycle_multiplier": 2, "per": per}
    steps_per_epoch = 1 if per == "epoch" else 7
    cycle = 10 * steps_per_epoch
    ours = rates(spec, steps_per_epoch, 150 * steps_per_epoch)
    theirs = torch_rates(
        lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, cycle, T_mult=2, eta_min=1e-6),
        len(ours),
        0.05,
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_restarts_are_equation_1_and_hold_within_an_epoch():
    spec = {"name": "cosine_restarts", "lr": 0.05, "final": 1e-6, "first_cycle": 10, "cycle_multiplier": 2}
    by_epoch = rates(spec, 5, 200 * 5).reshape(200, 5)
    assert (by_epoch == by_epoch[:, :1]).all()
    assert np.flatnonzero(by_epoch[:, 0] == 0.05).tolist() == [0, 10, 30, 70, 150]
    current, cycle = 25, 40  # epoch 55 is the 25th since the restart after 30
    assert by_epoch[55, 0] == pytest.approx(1e-6 + 0.5 * (0.05 - 1e-6) * (1 + math.cos(math.pi * current / cycle)))


def test_cosine_is_torchs_annealing():
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100, eta_min=0.001), 101, 0.1)
    np.testing.assert_allclose(rates({"name": "cosine", "lr": 0.1, "final": 0.001}, 10, 100), theirs[1:], rtol=1e-9)


def test_linear_is_torchs_linear():
    theirs = torch_rates(lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, 100), 101, 0.1)
    np.testing.assert_allclose(rates({"name": "linear", "lr": 0.1}, 10, 100), theirs[1:], rtol=1e-9, atol=1e-15)


def test_one_cycle_is_torchs_three_phases():
    """torch counts from 0 and ends each phase one update earlier, so they agree to the change of one update."""
    steps = 10_000
    theirs = torch_rates(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o,
            0.1,
            steps,
            pct_start=0.45,
            three_phase=True,
            anneal_strategy="linear",
            div_factor=10,
            final_div_factor=10,
        ),
        steps - 1,
        0.1,
    )
    change = 0.09 / (0.45 * steps)
    np.testing.assert_allclose(rates({"name": "one_cycle", "lr": 0.1}, 50, steps)[:-1], theirs, atol=1.01 * change)


def test_one_cycle_corners():
    one_cycle = rates({"name": "one_cycle", "lr": 1.0, "div_factor": 5, "final_div": 100}, 10, 1000)
    assert one_cycle[[449, 899, 999]] == pytest.approx([1.0, 0.2, 0.002])
    assert one_cycle.argmax() == 449


def test_curve_schedule_is_garipovs():
    def garipov(epoch):
        done = epoch / 100
        if done <= 0.5:
            return 0.015
        return 0.015 * (1 - (done - 0.5) / 0.4 * 0.99) if done <= 0.9 else 0.015 * 0.01

    at_each_epochs_end = rates({"name": "hold_then_linear", "lr": 0.015}, 20, 2000)[19::20]
    np.testing.assert_allclose(at_each_epochs_end, [garipov(epoch) for epoch in range(1, 101)], rtol=1e-12)


def test_range_test_multiplies_by_the_same_factor():
    sweep = rates(declaration("exponential_range"), 700, 700)
    np.testing.assert_allclose(sweep[1:] / sweep[:-1], 1e7 ** (1 / 700), rtol=1e-12)
    assert sweep[-1] == 10.0


def test_inverse_sqrt_is_fairseqs():
    spec = {"name": "inverse_sqrt", "lr": 7e-4, "warmup": {"epochs": 60}}
    k = np.arange(1, 10_001)
    expected = np.where(k <= 6000, 7e-4 * k / 6000, 7e-4 * 6000**0.5 * k**-0.5)
    np.testing.assert_allclose(rates(spec, 100, 10_000), expected, rtol=1e-12)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 9))
def test_knee_is_its_three_pieces(warmup, explore, exploit, steps_per_epoch):
    W, E, T = (n * steps_per_epoch for n in (warmup, explore, warmup + explore + exploit))
    spec = {"name": "knee", "lr": 0.1, "explore": explore, "warmup": {"epochs": warmup}}
    ours = rates(spec, steps_per_epoch, T)
    for k in range(1, T + 1):
        piece = 0.1 * k / W if k <= W else 0.1 if k <= W + E else 0.1 * (1 - (k - W - E) / (T - W - E))
        assert ours[k - 1] == pytest.approx(piece, rel=1e-12, abs=1e-15)
    if exploit:
        assert ours[-1] == 0.0
    if explore and not exploit:
        assert ours[-1] == 0.1


def test_knee_without_explore_is_linear():
    assert rates({"name": "knee", "lr": 0.1, "explore": 0}, 7, 70) == pytest.approx(rates(declaration("linear"), 7, 70))


@pytest.mark.parametrize("name", ["linear", "cosine", "knee"])
@given(lr=st.floats(1e-6, 10), steps_per_epoch=st.floats(2, 60), warmup=st.floats(0, 5))  # one update at least decays
def test_decays_end_at_exactly_zero(name, lr, steps_per_epoch, warmup):
    spec = declaration(name, lr=lr, warmup={"epochs": warmup}) | ({} if name == "knee" else {"final": 0.0})
    total = round(EPOCHS * steps_per_epoch)
    assert learning_rate(spec, total, steps_per_epoch, total) == 0.0


@pytest.mark.parametrize("name", EXAMPLES)
@given(steps_per_epoch=st.floats(1, 10), warmup=st.floats(0, 6), start=st.floats(0, 1))
def test_rates_stay_within_bounds(name, steps_per_epoch, warmup, start):
    options = EXAMPLES[name]
    peak = options.get("lr", options.get("lr_max", 0.1))
    warmup = max(warmup, 0.01) if name == "inverse_sqrt" else warmup
    ours = rates(
        declaration(name, warmup={"epochs": warmup, "start": start}), steps_per_epoch, int(12 * steps_per_epoch)
    )
    assert np.isfinite(ours).all() and (ours >= 0).all() and (ours <= peak * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", ["constant", "step", "piecewise", "linear", "cosine", "knee", "hold_then_linear"])
@given(steps_per_epoch=st.floats(1, 10), warmup=st.floats(0, 2))
def test_rates_rise_through_the_warmup_and_never_after(name, steps_per_epoch, warmup):
    ramp = round(warmup * steps_per_epoch)
    ours = rates(declaration(name, warmup={"epochs": warmup}), steps_per_epoch, round(12 * steps_per_epoch))
    assert (np.diff(ours[:ramp]) > 0).all()
    assert (np.diff(ours[max(ramp - 1, 0) :]) <= 1e-15).all()


@pytest.mark.parametrize("name", PER_EPOCH)
@given(n=st.integers(1, 8), steps_per_epoch=st.integers(1, 8))
def test_per_epoch_schedules_do_not_feel_time_dilation(name, n, steps_per_epoch):
    short = rates(declaration(name), steps_per_epoch, EPOCHS * steps_per_epoch)
    long = rates(declaration(name), n * steps_per_epoch, EPOCHS * n * steps_per_epoch)
    assert (long == np.repeat(short, n)).all()


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - set(PER_EPOCH)))
@given(n=st.integers(1, 8), steps_per_epoch=st.integers(1, 8))
def test_others_agree_wherever_both_have_an_update(name, n, steps_per_epoch):
    short = rates(declaration(name), steps_per_epoch, EPOCHS * steps_per_epoch)
    long = rates(declaration(name), n * steps_per_epoch, EPOCHS * n * steps_per_epoch)
    np.testing.assert_allclose(long[n - 1 :: n], short, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("samples,batch", [(50_000, 96), (50_000, 128), (1347, 100), (10, 3)])
def test_rates_change_at_epoch_boundaries_whatever_the_fraction(samples, batch):
    """Exactly the updates that begin at or after the end of an epoch, counted in samples, have the new rate."""
    spec = {"name": "piecewise", "rates": [[30, 1.0], [30, 0.1], [2, 0.01]]}
    total = math.ceil(62 * samples / batch)
    before = [k * batch < 30 * samples for k in range(total)]
    after = [k * batch >= 60 * samples for k in range(total)]
    assert (rates(spec, samples / batch, total) == np.select([before, after], [1.0, 0.01], 0.1)).all()


def test_fractions_of_epochs_count_in_updates():
    assert rates({"name": "piecewise", "rates": [[0.5, 1.0], [2.5, 0.1]]}, 4, 12).tolist() == [1.0] * 2 + [0.1] * 10
    assert (
        rates({"name": "step", "lr": 1.0, "factor": 0.1, "milestones": [1.25]}, 4, 8).tolist() == [1.0] * 5 + [0.1] * 3
    )


def test_large_batch_warmup_goes_on_at_the_absolute_place():
    """gotmare2019, section 4: 0 to 2.5 over 200 updates, then /10 at epochs 60, 120 and 150, ten updates an epoch."""
    spec = {"name": "step", "lr": 2.5, "factor": 0.1, "milestones": [60, 120, 150], "warmup": {"epochs": 20}}
    ours = rates(spec, 10, 3000)
    np.testing.assert_allclose(ours[:200], 2.5 * np.arange(1, 201) / 200, rtol=1e-12)
    assert (ours[200:600] == 2.5).all()
    assert ours[[600, 1200, 1500, 2999]] == pytest.approx([0.25, 0.025, 0.0025, 0.0025])


def test_warmup_before_linear_leaves_it_the_rest_of_the_budget():
    """iyer2020, section 5.3.3: 10 % warmup, 90 % linear decay."""
    ours = rates({"name": "linear", "lr": 2.0, "warmup": {"epochs": 1, "start": 0.5}}, 10, 100)
    assert ours[:10] == pytest.approx(1 + 0.1 * np.arange(1, 11))
    assert ours[9:] == pytest.approx(2 * (100 - np.arange(10, 101)) / 90)


def test_warmup_may_fill_the_budget():
    assert rates({"name": "cosine", "lr": 1.0, "warmup": {"epochs": 2}}, 5, 10) == pytest.approx(np.arange(1, 11) / 10)


def test_one_rate_and_all_rates_are_the_same_numbers():
    spec = declaration("cosine_restarts", warmup={"epochs": 1.5}, per="step")
    assert [learning_rate(spec, k, 2.5, 30) for k in range(1, 31)] == rates(spec, 2.5, 30).tolist()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_factor_is_of_every_learning_rate_and_of_nothing_else(name):
    before = declaration(name)
    theirs, ours = (rates(spec, 5, 5 * EPOCHS) for spec in (before, scaled(before, 0.4)))
    np.testing.assert_allclose(ours, 0.4 * theirs, rtol=1e-9, atol=1e-15)


def test_rates_of_a_users_schedule_are_known_by_their_annotation(tmp_path, monkeypatch):
    (tmp_path / "annotated.py").write_text(
        "from workflow_scripts.recipes.schedules import Rate\n"
        "def flat(step, steps_per_epoch, total_steps, peak: Rate, lr=1.0): return peak * lr\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert scaled({"name": "annotated:flat", "peak": 0.1, "lr": 3}, 0.5) == {
        "name": "annotated:flat", "peak": 0.05, "lr": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"name": "knee", "lr": 1, "explore": 20}, "explore: 20 epochs"),
        ({"name": "piecewise", "rates": [[3, 1.0]]}, "the pieces cover 3 epochs"),
        ({"name": "step", "lr": 1, "factor": 0.1, "milestones": [50]}, "milestones: 50 is never reached"),
        ({"name": "linear", "lr": 1, "warmup": {"epochs": 11}}, "warmup: 11 epochs do not fit"),
        ({"name": "inverse_sqrt", "lr": 1}, "warmup: missing"),
    ],
)
def test_rates_of_a_schedule_that_does_not_fit_are_refused(spec, problem):
    with pytest.raises(InputError, match=problem):
        rates(spec, 10, 100)


def test_a_users_function_is_found_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_schedules.py").write_text(
        "def sqrt_decay(step, steps_per_epoch, total_steps, lr, sign=1):\n"
        "    return sign * lr * (1 - step / total_steps) ** 0.5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"name": "my_schedules:sqrt_decay", "lr": 0.1}
    assert check(spec, EPOCHS) == []
    assert rates(spec, 5, 10) == pytest.approx(0.1 * np.sqrt(1 - np.arange(1, 11) / 10))
    warm = rates(spec | {"warmup": {"epochs": 1}}, 5, 10)
    assert warm[:5] == pytest.approx(0.1 * math.sqrt(0.5) * np.arange(1, 6) / 5)
    with pytest.raises(InputError, match=r"my_schedules:sqrt_decay gave -0\.\d+ at update 3; .* at least 0"):
        learning_rate(spec | {"sign": -1}, 3, 5, 10)
    assert check(spec | {"rate": 1}, EPOCHS) == [
        "name: my_schedules:sqrt_decay cannot be called as (step, steps_per_epoch, total_steps, **options): "
        "got an unexpected keyword argument 'rate'"
    ]
    (problem,) = check({"name": "my_schedules:cubic"}, EPOCHS)
    assert "'my_schedules:cubic' cannot be imported" in problem and "no attribute 'cubic'" in problem


@pytest.mark.parametrize(
    "spec,problem",
    [
        ("knee", "'knee' is not a schedule; give a mapping with a name: constant, step"),
        ({"lr": 0.1}, "{'lr': 0.1} is not a schedule; give a mapping with a name"),
        ({"name": "kne", "lr": 0.1}, "name: 'kne' is unknown; allowed: constant, step, piecewise"),
        ({"name": "no_such_module:f"}, "name: 'no_such_module:f' cannot be imported (No module named"),
        ({"name": "linear"}, "lr: missing; give a number of at least 0"),
        (declaration("knee", explor=3), "explor: unknown option; allowed here: lr, explore, warmup"),
        (declaration("linear", lr=-0.1), "lr: -0.1 is not allowed; give a number of at least 0"),
        (declaration("linear", lr="0.1"), "lr: '0.1' is not allowed; give a number of at least 0"),
        (declaration("linear", lr=math.nan), "lr: nan is not allowed"),
        (declaration("linear", lr=True), "lr: True is not allowed"),
        (declaration("step", factor=5), "factor: 5 is not allowed; give a multiplier above 0 and at most 1"),
        (
            declaration("step", milestones=[7, 3]),
            "milestones: [7, 3] is not allowed; give a list of increasing",
        ),
        (declaration("step", milestones=3), "milestones: 3 is not allowed"),
        (declaration("step", milestones=[3, 12]), "milestones: 12 is never reached; give numbers below"),
        (declaration("piecewise", rates=[]), "rates: [] is not allowed; give a list of pairs [epochs, rate]"),
        (declaration("piecewise", rates=[[12, -1]]), "rates: [[12, -1]] is not allowed"),
        (declaration("piecewise", rates=[[3, 0.1], [8, 0.01]]), "rates: the pieces cover 11 epochs; let them"),
        (declaration("cosine_restarts", cycle_multiplier=0.5), "cycle_multiplier: 0.5 is not allowed"),
        (declaration("cosine_restarts", first_cycle=0), "first_cycle: 0 is not allowed"),
        (declaration("cosine_restarts", per="batch"), "per: 'batch' is not allowed; give 'epoch' or 'step'"),
        (declaration("knee", explore=13), "explore: 13 epochs do not fit; the training has 12"),
        (
            declaration("knee", explore=8, warmup={"epochs": 5}),
            "explore: 8 epochs after 5 of warmup do not fit; the training has 12",
        ),
        (declaration("exponential_range", lr_min=0), "lr_min: 0 is not allowed; give a number above 0"),
        (
            declaration("exponential_range", lr_max=1e-7),
            "lr_max: 1e-07 is not allowed; give a number above lr_min",
        ),
        (
            {"name": "inverse_sqrt", "lr": 0.1},
            "warmup: missing; inverse_sqrt decays on the warmup's time scale",
        ),
        (declaration("linear", warmup=5), "warmup: 5 is not allowed; give a mapping of epochs, start"),
        (declaration("linear", warmup={}), "warmup.epochs: missing; give a number of epochs"),
        (
            declaration("linear", warmup={"epochs": 1, "steps": 2}),
            "warmup.steps: unknown option; allowed here",
        ),
        (
            declaration("linear", warmup={"epochs": 1, "start": 2}),
            "warmup.start: 2 is not allowed; give a number",
        ),
        (declaration("linear", warmup={"epochs": 13}), "warmup: 13 epochs do not fit; the training has 12"),
    ],
)
def test_each_problem_is_told(spec, problem):
    (told,) = check(spec, EPOCHS)
    assert told.startswith(problem)


def test_problems_are_told_together():
    problems = check({"name": "knee", "lr": -1, "warmup": {"epochs": -2}}, EPOCHS)
    assert [problem.split(":")[0] for problem in problems] == [
        "lr",
        "explore",
        "warmup.epochs",
    ]
    assert check(declaration("linear"), 0) == ["epochs: 0 is not allowed; give a number above 0"]
    with pytest.raises(InputError, match=r"cannot be used:\n  - lr: -1 .*\n  - explore: missing"):
        rates({"name": "knee", "lr": -1}, 10, 100)


@pytest.mark.parametrize("step", [0, 101])
def test_an_update_outside_the_training_is_refused(step):
    with pytest.raises(InputError, match=f"update {step} lies outside the training; give a step from 1 to 100"):
        learning_rate(declaration("linear"), step, 10, 100)


def test_torch_is_not_imported():
    code = "import sys, workflow_scripts.recipes.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

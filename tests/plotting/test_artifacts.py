"""Figures show exactly the tidy tables, say what they lack, and come out of the notebooks as files."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure

from workflow_scripts.base.errors import InputError
from workflow_scripts.evidence.sources import Sources
from workflow_scripts.evidence.tables import KINDS, write_table
from workflow_scripts.evidence.trained import differences
from workflow_scripts.plotting import figure, notes, panels, style, table, tables
from workflow_scripts.plotting.spec import read_spec
from workflow_scripts.plotting.tables import summary

REPOSITORY = Path(__file__).parents[2]
DIVERGED = {"state": "diverged", "run": "f" * 64, "step": 63, "epoch": 3.2, "reason": "the loss is nan"}
FELL_BACK = {"state": "finished", "attempts": [{key: DIVERGED[key] for key in ("run", "step", "epoch", "reason")}]}
NAMES = {"f" * 64: "mode E"}


# --- tables and specifications ---------------------------------------------------------------------------------------


def write(root, name, kind, rows, status=None):
    write_table(root / f"{name}.parquet", pd.DataFrame(rows, columns=list(KINDS[kind].columns)), kind, status)


def write_metrics(root, name, final=90.0, epochs=5, status=None):
    points = [(epoch, final - 10.0 * (epochs - epoch)) for epoch in range(epochs + 1)]
    rows = [(name, 10 * epoch, float(epoch), "test", "accuracy", value) for epoch, value in points]
    rows += [(name, 10 * epoch, float(epoch), "train", "learning_rate", 0.1 / (1 + epoch)) for epoch, _ in points]
    write(root, name, "metrics", rows, status)


def write_path(root, name, status=None):
    rows = [
        (kind, epoch, point, t, 7 * t, "test", "accuracy", 90 - epoch - 4 * t * (1 - t))
        for kind, epoch in (("segment", 0), ("curve", 20), ("curve", 40))
        for point, t in enumerate(np.linspace(0, 1, 5))
    ]
    write(root, name, "path", rows if status is None or "attempts" in status else [], status)


def write_plane(root, name):
    grid = [(float(x), float(y)) for y in range(4) for x in range(5)]
    write(root, name, "plane", [(x, y, "train", "loss", 0.1 + x * x + y) for x, y in grid])
    rows = [("vertex", label, epoch, x, y, 0.0, "affine") for label, epoch, x, y in
            (("w70", 70, 1.0, 1.0), ("w150", 150, 3.0, 1.0), ("w70-150", -1, 2.0, 2.0))]  # fmt: skip
    rows += [("iterate", f"w{epoch}", epoch, 1 + epoch / 100, 1.0, 2.5, "affine") for epoch in (0, 100, 900)]
    write(root, f"{name}_points", "plane_points", rows)


def write_similarity(root, name, strength=0.8, layers=4):
    pairs = [(a, b) for a in range(layers) for b in range(layers)]
    rows = [(a, f"op{a}", b, f"op{b}", strength / (1 + abs(a - b)), 0.1, 3, 3, 50) for a, b in pairs]
    write(root, name, "similarity", rows)


def write_embedding(root, name, status=None):
    rows = [("G", "mode", 0.0, 0.0), ("A", "mode", 4.0, 0.0), ("GA", "bend", 2.0, 3.0)]
    write(root, name, "embedding", rows, status)


def line(label, name, **more):
    return {"label": label, "table": f"{name}.parquet", **more}


def curve_panel(*series, **more):
    return {"kind": "training_curve", "metric": "accuracy", "series": list(series), **more}


MARK = "DEMO: shows that the pipeline runs; no evidence"


def spec_of(*panels_, scale="demo", **more):
    described = {"id": "p_figure_1", "paper": "p", "number": "Figure 1", "title": "A title", "caption": "A caption."}
    return {
        **described,
        "scale": scale,
        "mark": MARK,
        "data": "digits",
        "names": NAMES,
        "panels": list(panels_),
        **more,
    }


def drawn(root, *panels_, **more):
    """The figure, its Axes of panels, and its values."""
    spec = spec_of(*panels_, **more)
    made, values = figure.draw(spec, Sources(root, spec["names"]))
    return made, made.axes[: len(panels_)], values


def lines_of(ax):
    """The drawn points of every line of a panel, by its label."""
    return {drawn.get_label(): drawn.get_xydata() for drawn in ax.lines if not drawn.get_label().startswith("_")}


def texts_of(ax):
    return " ".join(text.get_text() for text in ax.texts).replace("\n", " ")


# --- panels ----------------------------------------------------------------------------------------------------------


def test_training_curve_plots_its_values(tmp_path):
    write_metrics(tmp_path, "a")
    write_metrics(tmp_path, "b", final=70)
    _, (ax,), values = drawn(tmp_path, curve_panel(line("one", "a"), line("two", "b"), marks=[3]))
    for label, points in lines_of(ax).items():
        rows = values[values["series"] == label]
        assert np.array_equal(points, rows[["epoch", "value"]].to_numpy())
    assert set(lines_of(ax)) == {"one", "two"} and values["panel"].eq(1).all() and len(values) == 12
    assert ax.get_ylabel() == "Test accuracy (%)"


def test_learning_rate_against_steps(tmp_path):
    write_metrics(tmp_path, "a")
    _, (ax,), _ = drawn(tmp_path, curve_panel(line("one", "a")) | {"metric": "learning_rate", "x": "step"})
    assert lines_of(ax)["one"][:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("Learning rate", "Training iteration")


def test_a_run_that_diverged_on_its_way_stops_in_a_cross_and_the_legend_says_when(tmp_path):
    write_metrics(tmp_path, "a")
    write_metrics(tmp_path, "b", epochs=3, status=DIVERGED)
    _, (ax,), values = drawn(tmp_path, curve_panel(line("one", "a"), line("two", "b")))
    assert "two (× diverged at epoch 3.2)" in lines_of(ax)
    (cross,) = [drawn for drawn in ax.lines if drawn.get_marker() == "x"]
    assert cross.get_xydata().tolist() == [[3.0, 90.0]]
    assert values["note"].tolist().count("mode E diverged at epoch 3.2 (step 63)") == 1
    panel = curve_panel(line("one", "a"), line("two", "b")) | {"x_limits": [0, 2]}
    _, (ax,), _ = drawn(tmp_path, panel)
    assert "two (× diverged at epoch 3.2)" in lines_of(ax)
    assert not [drawn for drawn in ax.lines if drawn.get_marker() == "x"]


def test_path_metric_plots_the_asked_epochs_and_the_last_by_default(tmp_path):
    write_path(tmp_path, "c")
    panel = {"kind": "path_metric", "metric": "accuracy", "ends": ["w30", "A"], "series": [
        line("segment", "c", path="segment"), line("20", "c", epoch=20), line("last", "c")]}  # fmt: skip
    _, (ax,), values = drawn(tmp_path, panel)
    shown = lines_of(ax)
    assert shown["20"][:, 1].max() == 70 and shown["last"][:, 1].max() == 50
    for label, points in shown.items():
        assert np.array_equal(points, values.loc[values["series"] == label, ["t", "value"]].to_numpy())
    assert next(label.get_text() for label in ax.get_xticklabels()) == "0\n$w_{30}$"


def test_a_curve_and_its_segment_share_a_colour_and_differ_in_their_dashes(tmp_path):
    write_path(tmp_path, "c")
    series = [line(f"{path} {group}", "c", path=path, group=group) for group in "xy" for path in ("curve", "segment")]
    _, (ax,), _ = drawn(tmp_path, {"kind": "path_metric", "metric": "accuracy", "series": series})
    looks = {drawn.get_label(): (drawn.get_color(), drawn.get_linestyle()) for drawn in ax.lines}
    assert looks["curve x"][0] == looks["segment x"][0] != looks["curve y"][0]
    assert (looks["curve x"][1], looks["segment x"][1]) == ("-", "--")


def test_plane_shows_its_points_and_counts_the_iterates_beyond_it(tmp_path):
    write_plane(tmp_path, "p")
    panel = {"kind": "plane", "metric": "loss", "split": "train", "table": "p.parquet", "points": "p_points.parquet"}
    _, (ax,), values = drawn(tmp_path, panel)
    iterates = next(dots for dots in ax.collections if dots.get_gid() == "iterates")
    rows = values[values["series"] == "iterate"]
    assert np.array_equal(iterates.get_offsets(), rows[["x", "y"]].to_numpy())
    assert np.array_equal(iterates.get_array(), rows["epoch"])
    assert "1 of 3 iterates are outside of the part shown" in ax.get_xlabel()
    assert "distance of the iterates from the plane: 2.5 to 2.5, median 2.5" in ax.get_xlabel()
    (path,) = [line for line in ax.lines if line.get_gid() == "path"]
    assert path.get_xydata().tolist() == [[1, 1], [2, 2], [3, 1]]
    assert iterates.get_clim() == (0, 100)  # the third, of epoch 900, is not seen
    assert [text.get_text() for text in ax.texts] == ["$w_{70}$", "$w_{150}$", "θ = $w_{70-150}$"]
    assert ax.get_xlim() == (0, 4) and ax.get_ylim() == (0, 3) and ax.get_aspect() == 1


def test_plane_scale_spans_the_best_to_the_worst_that_keeps_its_colour():
    plane = panels.module("plane")
    levels, _ = plane.scale(np.array([0.01, 0.1, 1, 1e6]), {"metric": "loss", "worst": 10})
    assert np.allclose(levels[[0, -1]], [0.01, 10]) and np.allclose(np.diff(np.log(levels)), np.log(1000) / 16)
    levels, _ = plane.scale(np.array([10.0, 90.0]), {"metric": "accuracy", "worst": 50})
    assert levels[[0, -1]].tolist() == [50, 90] and np.allclose(np.diff(levels), 2.5)
    for flat in (np.zeros(3), np.full(3, 0.5)):
        for metric in ("loss", "accuracy"):
            assert (np.diff(plane.scale(flat, {"metric": metric})[0]) > 0).all()


@pytest.mark.parametrize(("low", "high"), [(1.14, 1.39), (0.79, 1.2), (0.01, 10), (52, 90)])
def test_labels_of_a_planes_colour_bar_are_where_they_say(low, high):
    plane = panels.module("plane")
    ticks = np.geomspace(low, high, 5)
    labels = [f"{tick:.{plane.digits(ticks)}g}" for tick in ticks]
    assert len(set(labels)) == 5 and np.allclose(
        [float(label) for label in labels], ticks, atol=np.diff(ticks).min() / 10
    )
    assert plane.digits(np.array([1.0, 2.0, 3.0])) == 2


def test_similarity_map_and_difference(tmp_path):
    write_similarity(tmp_path, "a", 0.8)
    write_similarity(tmp_path, "b", 0.5)
    one, two = ({"kind": "similarity_map", "table": f"{name}.parquet"} for name in "ab")
    _, axes, values = drawn(tmp_path, one, two, {**one, "minus": "b.parquet"})
    maps = [next(part for part in ax.collections if part.get_gid()) for ax in axes]
    grids = [np.asarray(part.get_array()).reshape(4, 4) for part in maps]
    assert np.allclose(grids[2], np.abs(grids[0] - grids[1])) and grids[0][1, 1] == 0.8
    for number, grid in enumerate(grids, 1):
        assert np.allclose(values.loc[values["panel"] == number, "similarity"], grid.ravel())
    assert "mean 0.44, floor for independent data 0.10" in axes[0].get_xlabel()
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["0 op0", "1 op1", "2 op2", "3 op3"]
    assert [part.get_clim() for part in maps] == [(0, 1), (0, 1), (0, pytest.approx(0.3))]
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]  # the first layer on top


def test_maps_of_other_layers_are_not_subtracted(tmp_path):
    write_similarity(tmp_path, "a")
    write_similarity(tmp_path, "b", layers=5)
    with pytest.raises(InputError, match=r"a.parquet and b.parquet are of different layers"):
        drawn(tmp_path, {"kind": "similarity_map", "table": "a.parquet", "minus": "b.parquet"})


def test_similarity_diagonal_with_its_floor(tmp_path):
    write_similarity(tmp_path, "a", 0.8)
    _, (ax,), values = drawn(tmp_path, {"kind": "similarity_diagonal", "series": [line("one", "a")]})
    assert lines_of(ax)["one"].tolist() == [[layer, 0.8] for layer in range(4)]
    assert ax.lines[1].get_ydata().tolist() == [0.1] * 4 and len(values) == 4


def test_embedding_joins_each_bend_to_its_modes_and_tells_of_a_mode_that_diverged(tmp_path):
    write_embedding(tmp_path, "e", DIVERGED)
    panel = {"kind": "embedding", "table": "e.parquet", "labels": {"G": "mode G"}, "lines": [["G", "GA", "A"]]}
    _, (ax,), values = drawn(tmp_path, panel)
    (joined,) = ax.lines
    assert joined.get_xydata().tolist() == [[0, 0], [2, 3], [4, 0]]
    assert values.loc[values["name"] == "GA", ["from_mode", "to_mode"]].values.tolist() == [["G", "A"]]
    assert "mode G" in texts_of(ax) and "mode E diverged at epoch 3.2 (step 63)" in texts_of(ax)


EVERY_KIND = {
    "training_curve": curve_panel(line("one", "x")),
    "path_metric": {"kind": "path_metric", "metric": "accuracy", "series": [line("one", "x"), line("two", "x")]},
    "plane": {"kind": "plane", "metric": "loss", "table": "x.parquet", "points": "y.parquet"},
    "similarity_map": {"kind": "similarity_map", "table": "x.parquet", "minus": "x.parquet"},
    "similarity_diagonal": {"kind": "similarity_diagonal", "series": [line("one", "x")]},
    "embedding": {"kind": "embedding", "table": "x.parquet"},
    "histogram": {"kind": "histogram", "quantity": "accuracy", "series": [{"label": "one", "tables": ["x.parquet"]}]},
    "range_test": {"kind": "range_test", "table": "x.parquet"},
}
TABLE_OF = {"training_curve": "metrics", "path_metric": "path", "similarity_map": "similarity", "histogram": "metrics"}
TABLE_OF |= {"similarity_diagonal": "similarity"}


def test_every_kind_of_panel_is_tried_here():
    assert set(EVERY_KIND) == set(panels.KINDS)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_missing_table_is_said_to_be_missing(kind, tmp_path):
    _, (ax,), values = drawn(tmp_path, EVERY_KIND[kind])
    assert texts_of(ax) == "not run" and not ax.lines and not ax.images
    assert set(values["note"]) == {"not run"}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_diverged_table_is_shown_as_a_result(kind, tmp_path):
    write(tmp_path, "x", TABLE_OF.get(kind, kind), [], DIVERGED)
    if kind == "plane":
        write(tmp_path, "y", "plane_points", [], DIVERGED)
    _, (ax,), values = drawn(tmp_path, EVERY_KIND[kind])
    assert texts_of(ax) == "mode E diverged at epoch 3.2 (step 63)" and not ax.lines and not ax.images
    assert notes.is_note(values.drop(columns="panel")).all()


def test_attempts_that_diverged_before_a_fall_back_are_told_above_the_curve(tmp_path):
    write_path(tmp_path, "c", FELL_BACK)
    _, (ax,), _ = drawn(tmp_path, {"kind": "path_metric", "metric": "accuracy", "series": [line("one", "c")]})
    assert texts_of(ax) == "mode E diverged at epoch 3.2 (step 63), then fell back" and len(lines_of(ax)["one"]) == 5


def test_a_series_without_a_table_is_named_beside_those_with_one(tmp_path):
    write_metrics(tmp_path, "a")
    _, (ax,), _ = drawn(tmp_path, curve_panel(line("one", "a"), line("two", "nowhere")))
    assert texts_of(ax) == "two: not run" and set(lines_of(ax)) == {"one"}


def test_a_run_without_a_name_is_called_by_its_fingerprint(tmp_path):
    write_path(tmp_path, "x", DIVERGED)
    _, (ax,), _ = drawn(tmp_path, EVERY_KIND["path_metric"], names={})
    assert texts_of(ax) == "run ffffffff diverged at epoch 3.2 (step 63)"


def test_asking_a_finished_table_for_what_it_lacks(tmp_path):
    write_path(tmp_path, "c")
    panel = {"kind": "path_metric", "metric": "accuracy", "series": [line("one", "c", epoch=60)]}
    with pytest.raises(InputError, match=r"c.parquet has no rows with .*'epoch': 60.* it holds .*\[0, 20, 40\]"):
        drawn(tmp_path, panel)


def test_the_names_of_an_embedding_keep_off_its_lines(tmp_path):
    rows = [("G", "mode", 0.0, 0.0), ("A", "mode", 9.0, 1.0), ("B", "mode", -4.0, 8.0), ("C", "mode", -3.0, -9.0)]
    rows += [("GA", "bend", 4.0, -1.0), ("GB", "bend", -2.0, 5.0), ("GC", "bend", 0.0, -5.0)]
    write(tmp_path, "e", "embedding", rows)
    panel = {"kind": "embedding", "table": "e.parquet", "lines": [["G", f"G{mode}", mode] for mode in "ABC"]}
    made, (ax,), _ = drawn(tmp_path, panel)
    made.draw_without_rendering()
    assert len(ax.texts) == 7
    for text in ax.texts:
        box = text.get_window_extent()
        for joined in ax.lines:
            along = np.linspace(0, 2, 400)
            corners = ax.transData.transform(joined.get_xydata())
            points = np.stack([np.interp(along, [0, 1, 2], corners[:, axis]) for axis in (0, 1)], axis=1)
            assert not any(box.contains(*point) for point in points), text.get_text()


@pytest.mark.parametrize(("low", "high"), [(0.055, 0.3), (0.1, 2.5), (1e-5, 4.0), (0.5, 0.9), (0.02, 30)])
def test_logarithmic_axes_have_plain_numbers(low, high):
    ax = Figure().subplots()
    ax.set(yscale="log", ylim=(low, high))
    style.plain_numbers(ax.yaxis)
    ax.figure.draw_without_rendering()
    shown = [tick.label1.get_text() for tick in ax.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert 3 <= len(shown) <= 10 and all(low * 0.999 <= float(label) <= high * 1.001 for label in shown)
    assert all(re.fullmatch(r"[0-9.]+", label) for label in shown)


def test_a_broad_line_is_seen_below_one_that_coincides_with_it(tmp_path):
    write_metrics(tmp_path, "a")
    _, (ax,), _ = drawn(tmp_path, curve_panel(line("baseline", "a", broad=True), line("other", "a")))
    below, above = ax.lines
    assert below.get_linewidth() > 2 * above.get_linewidth() and below.get_zorder() <= above.get_zorder()


def test_the_fc_stack_is_marked_where_it_begins(tmp_path):
    labels = ["conv", "ReLU", "drop", "FC", "ReLU", "FC"]
    rows = [(a, one, b, other, 0.5, 0.1, 3, 3, 50) for a, one in enumerate(labels) for b, other in enumerate(labels)]
    write(tmp_path, "s", "similarity", rows)
    shown = {"kind": "similarity_map", "table": "s.parquet", "fc_stack": True}
    _, (whole, diagonal), _ = drawn(
        tmp_path, shown, {"kind": "similarity_diagonal", "series": [line("one", "s")], "fc_stack": True}
    )
    assert {drawn.get_xdata()[0] for drawn in whole.lines if len(set(drawn.get_xdata())) == 1} == {2}
    assert "FC stack" in texts_of(diagonal) and diagonal.patches[0].get_x() == 1.5
    assert style.fc_stack(["conv", "FC"]) == 1 and style.fc_stack(["conv"]) is None


# --- figures ---------------------------------------------------------------------------------------------------------


def overlap(one, other):
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def test_legends_cover_no_panel_and_are_shared_where_panels_share_them(tmp_path):
    write_metrics(tmp_path, "a")
    write_metrics(tmp_path, "b", epochs=3, status=DIVERGED)
    write_path(tmp_path, "c")
    both = curve_panel(line("one", "a"), line("other", "a"))
    path = {"kind": "path_metric", "metric": "accuracy", "series": [line("a curve", "c")]}
    made, axes, _ = drawn(tmp_path, both, curve_panel(line("one", "a")), path, layout={"columns": 3})
    (shared,) = made.legends
    assert [text.get_text() for text in shared.get_texts()] == ["one", "other"]
    assert [ax.get_legend() is not None for ax in axes] == [False, False, True]
    for legend in (shared, axes[2].get_legend()):
        assert not any(overlap(legend.get_window_extent(), ax.get_window_extent()) for ax in axes)


@pytest.mark.parametrize("words", [5, 12])
def test_a_long_label_leaves_panels_their_width_and_stays_in_the_figure(words, tmp_path):
    write_metrics(tmp_path, "a")
    plain, other = curve_panel(line("one", "a")), curve_panel(line(" ".join(["a long label"] * words), "a"))
    made, axes, _ = drawn(tmp_path, plain, other, layout={"columns": 2})
    widths = [ax.get_window_extent().width for ax in axes]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    legend = axes[1].get_legend().get_window_extent()
    assert legend.x1 <= made.bbox.x1 and legend.y0 >= made.bbox.y0


def test_layout_and_sizes(tmp_path):
    panel = EVERY_KIND["embedding"]
    made, axes, _ = drawn(tmp_path, *[panel] * 5, mark="", layout={"columns": 3, "panel_size": [2, 1.5]})
    assert made.get_size_inches().tolist() == [6, 3] and len(made.axes) == 5
    assert axes[0].get_position().y0 > axes[3].get_position().y1


def test_a_figure_bears_the_mark_of_its_scale(tmp_path):
    write_metrics(tmp_path, "a")
    for mark in (MARK, ""):
        made, _, _ = drawn(tmp_path, curve_panel(line("one", "a")), mark=mark)
        assert made.get_suptitle().replace("\n", " ") == mark


def runs_of(root, trials=1, **changes):
    """Two runs with a provenance, as a specification has them."""
    recipe = {"data": "cifar10", "model": {"name": "vgg16", "width": 1}, "batch_size": 100, **changes}
    recipe = {"schedule": {"name": "piecewise", "rates": [[1, 0.1], [2, 0.01]]}, **recipe}
    declared = {"data": "cifar10", "model": {"name": "vgg16"}, "batch_size": 100, "trials": trials}
    declared["schedule"] = {"name": "piecewise", "rates": [[1, 0.1], [2, 0.01]]}
    for seed in (1, 2):
        facts = {"recipe": recipe, "seeds": [seed], "device": "cpu", "fingerprints": [f"r{seed}"]}
        frame = pd.DataFrame([], columns=list(KINDS["metrics"].columns))
        write_table(root / f"r{seed}.parquet", frame, "metrics", DIVERGED, facts)
    return {f"r{n}": {"table": f"r{n}.parquet", "setting": "s", "declared": declared} for n in (1, 2)}


def test_trials_of_several_settings_are_told_together(tmp_path):
    runs = runs_of(tmp_path, trials=5)
    more = {name: {**described, "setting": "other"} for name, described in list(runs.items())[:1]}
    write = {"again": more.popitem()[1]}
    assert differences(Sources(tmp_path, runs=runs | write)) == "Trained here: 1 to 2 of 5 trials."


def test_what_was_trained_in_place_of_the_papers_is_told_below(tmp_path):
    assert differences(Sources(tmp_path, runs=runs_of(tmp_path))) == ""
    assert differences(Sources(tmp_path, runs={"r": {"table": "nowhere", "setting": "s", "declared": {}}})) == ""
    changes = {"data": "digits", "model": {"name": "vgg9", "width": 0.125}, "batch_size": 4000}
    runs = runs_of(tmp_path, trials=5, **changes, schedule={"name": "step", "lr": 0.02})
    told = (
        "Trained here: digits for cifar10, vgg9 of width 0.125 for vgg16; batch 4,000 for 100; rate 0.02 for 0.1; "
        "2 of 5 trials."
    )
    sources = Sources(tmp_path, runs=runs)
    assert differences(sources) == told
    assert (sources.seeds(), sources.device(), sources.fingerprints()) == ([1, 2], "cpu", ["r1", "r2"])
    write_metrics(tmp_path, "a")
    panels_ = [curve_panel(line("one", "a"), line("two", "a"))] * 2
    made, _ = figure.draw(spec_of(*panels_), Sources(tmp_path, runs=runs))
    (below,) = [text for text in made.texts if text.get_text().startswith("Trained")]
    assert below.get_text().replace("\n", " ") == told
    parts = [below, *made.texts[:1], *made.legends]
    places = [*(part.get_window_extent() for part in parts), *(ax.get_tightbbox() for ax in made.axes)]
    assert len(made.legends) == 1
    assert not any(overlap(one, other) for one, other in itertools.combinations(places, 2))


def test_a_fall_back_is_told_with_its_settings(tmp_path):
    runs = runs_of(tmp_path, initialisation={"variance": 3.0}, fallback={"initialisation": {"variance": 1.5}})
    sources = Sources(tmp_path, {"r1": "mode E"}, runs)
    attempt = {"run": "r1", "step": 60, "epoch": 6.0, "reason": "the loss is nan"}
    assert sources.fallback(attempt) == "mode E with variance 3 diverged at epoch 6; drawn: variance 1.5"
    unknown = sources.fallback({**attempt, "run": "x" * 12})
    assert unknown == "run xxxxxxxx diverged at epoch 6 (step 60), then fell back"


def test_the_same_figure_gives_the_same_bytes_with_text_as_text(tmp_path):
    write_metrics(tmp_path, "a")
    for folder, time in (("one", "10:00"), ("two", "11:00")):
        made, _, values = drawn(tmp_path, curve_panel(line("a label", "a"), title="A panel"))
        figure.save(made, values, "Figure 1", {"scale": "demo", "time": time}, tmp_path / folder)
    for name in ("figure.svg", "figure.png", "values.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    svg = (tmp_path / "one" / "figure.svg").read_text()
    assert all(f">{text}</text>" in svg for text in ("A panel", "a label", "Test accuracy (%)"))
    assert "scale" in svg and "10:00" not in svg


def test_the_readers_own_matplotlib_settings_change_nothing(tmp_path):
    import matplotlib as mpl

    write_metrics(tmp_path, "a")
    sizes = []
    for size in (10, 30):
        with mpl.rc_context({"font.size": size}):
            _, (ax,), _ = drawn(tmp_path, curve_panel(line("one", "a")))
            sizes.append(ax.xaxis.label.get_size())
            assert mpl.rcParams["font.size"] == size
    assert sizes[0] == sizes[1]


def test_plotting_never_imports_torch():
    code = (
        "import sys, pkgutil, importlib, workflow_scripts.plotting as p; "
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(p.__path__, p.__name__ + '.')]; "
        "sys.exit('torch' in sys.modules or 'snakemake' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


# --- tables ----------------------------------------------------------------------------------------------------------

KEY = ["t", "distilled", "best"]


def table_spec(root, *rows, statistics=("best", "mean", "std")):
    (root / "reported.csv").write_text(
        "id,row,column,value,std,n,unit,source,note\nt,distilled,best,85.18,0.2,5,percent,section 5,of five\n"
    )
    contents = {"kind": "summary", "quantity": "accuracy", "statistics": list(statistics), "rows": list(rows)}
    spec = spec_of(table=contents, reported="reported.csv")
    del spec["panels"]
    return spec


def test_summary_table_counts_what_diverged_and_what_is_missing(tmp_path):
    for number, final in enumerate((80.0, 84.0)):
        write_metrics(tmp_path, f"r{number}", final=final)
    write_metrics(tmp_path, "d", final=99.0, status=DIVERGED)
    tables = [f"{name}.parquet" for name in ("r0", "r1", "d", "nowhere")]
    row = {"label": "Distilled", "tables": tables, "reported": {"best": KEY, "std": KEY}}
    spec = table_spec(tmp_path, row)
    numbers = summary.values(spec, Sources(tmp_path))
    ours = numbers.iloc[0]
    assert (ours["n"], ours["diverged"], ours["missing"]) == (2, 1, 1)
    assert (ours["best"], ours["mean"]) == (84.0, 82.0) and ours["std"] == pytest.approx(8**0.5)
    assert (ours["best_reported"], ours["std_reported"]) == (85.18, 0.2)
    assert ours["best_difference"] == pytest.approx(-1.18)
    shown = summary.draw(spec, numbers).iloc[0]
    assert (shown["best", "ours"], shown["best", "paper"], shown["best", "difference"]) == ("84.00", "85.18", "-1.18")
    assert (shown["runs", "finished"], shown["runs", "diverged"], shown["runs", "missing"]) == ("2", "1", "1")
    *_, caption = table.draw(spec, Sources(tmp_path))
    assert "Reported: section 5 (of five)." in caption and "DEMO" in caption


def test_a_reported_number_never_stands_in_for_ours(tmp_path):
    write_metrics(tmp_path, "d", status=DIVERGED)
    rows = [
        {"label": "a", "tables": ["nowhere.parquet"], "reported": {"best": KEY}},
        {"label": "b", "tables": ["d.parquet"], "reported": {"best": KEY}},
        {"label": "c", "tables": []},
    ]
    spec = table_spec(tmp_path, *rows, statistics=("best", "interval"))
    numbers = summary.values(spec, Sources(tmp_path))
    assert numbers[["best", "best_difference", "interval_low", "interval_high"]].isna().all(axis=None)
    shown = summary.draw(spec, numbers)
    assert shown["best", "ours"].tolist() == ["not run", "diverged", "no runs"]
    assert shown["best", "difference"].tolist() == ["–"] * 3
    assert shown["95 % interval of the mean", "ours"].tolist() == ["not run", "diverged", "no runs"]
    assert shown["best", "paper"].tolist() == ["85.18", "85.18", "–"]


# --- specifications --------------------------------------------------------------------------------------------------


def read(tmp_path, spec):
    path = tmp_path / "spec.json"
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec))
    return read_spec(path)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON mapping"),
        (spec_of() | {"panels": []}, "panels must be a list with at least one panel"),
        (spec_of() | {"table": {}}, "exactly one of panels and table is needed"),
        ({"panels": [EVERY_KIND["embedding"]]}, "number is missing"),
        (spec_of({"kind": "pie"}), "panel 1 is of kind 'pie': take one of embedding, histogram"),
        (spec_of("pie"), "panel 1 must be a mapping"),
        (
            spec_of(EVERY_KIND["plane"] | {"metrics": 1}),
            "panel 1 (plane): Additional properties are not allowed ('metrics'",
        ),
        (spec_of(curve_panel(line("a", "x", color=1))), "panel 1 (training_curve), series, 0: Additional properties"),
        (spec_of(curve_panel(line("a", "x"), line("a", "y"))), "two series are called 'a'"),
        (spec_of(curve_panel(line("a", "x"), metric="width")), "'width' is not one of"),
    ],
)
def test_a_wrong_specification_is_told_in_a_sentence(spec, sentence, tmp_path):
    with pytest.raises(InputError) as error:
        read(tmp_path, spec)
    assert sentence in str(error.value)


def test_a_table_needs_the_papers_values_if_it_shows_them(tmp_path):
    spec = table_spec(tmp_path, {"label": "a", "tables": [], "reported": {"best": KEY}})
    assert read(tmp_path, spec) == spec
    del spec["reported"]
    with pytest.raises(InputError, match=r"reported is missing: give the path of the paper's reported.csv"):
        read(tmp_path, spec)


def test_the_schema_describes_exactly_the_kinds_there_are():
    schema = yaml.safe_load((REPOSITORY / "schemas" / "panel.schema.yaml").read_text())
    kinds = {*panels.KINDS, *tables.KINDS}
    assert set(schema["properties"]["kind"]["enum"]) == kinds
    assert {branch["then"]["$ref"].rpartition("/")[2] for branch in schema["allOf"]} == kinds <= set(schema["$defs"])
    for kind in kinds:
        assert schema["$defs"][kind]["additionalProperties"] is False
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema)
    for panel in EVERY_KIND.values():
        assert validator.is_valid(panel) and not panels.problems(panel, 1)
        assert not validator.is_valid(panel | {"unheard": 1})
    assert not validator.is_valid({"kind": "pie"})


# --- the notebooks, executed -----------------------------------------------------------------------------------------


def stage(root, spec, template, out="out"):
    """Run the stage as a user does."""
    (root / "spec.json").write_text(json.dumps(spec))
    arguments = ["--spec", root / "spec.json", "--template", template, "--out-dir", root / out, "--root", root]
    command = [sys.executable, "-m", "workflow_scripts.stages.artifact", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def loads_of(page):
    """Everything that a page would fetch from a network."""
    page = re.sub(r"<a [^>]*>", "", page)
    return re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//|@import|url\(\s*[\"']?(?:https?:)?//|<script", page)


def test_figure_notebook(tmp_path):
    write_metrics(tmp_path, "a")
    write_path(tmp_path, "bad", DIVERGED)
    path = {"kind": "path_metric", "metric": "accuracy", "series": [line("curve", "bad")]}
    done = stage(tmp_path, spec_of(curve_panel(line("one", "a")), path, EVERY_KIND["plane"]), "notebooks/figure.ipynb")
    assert done.returncode == 0 and re.fullmatch(r"finished in .*\n", done.stderr), done.stderr
    made = {file.name for file in (tmp_path / "out").iterdir()}
    assert made == {"figure.svg", "figure.png", "values.csv", "notebook.ipynb", "notebook.html", "spec.json"}
    values = pd.read_csv(tmp_path / "out" / "values.csv", keep_default_na=False)
    assert values.loc[values["panel"] == 1, "value"].astype(float).tolist() == [40, 50, 60, 70, 80, 90]
    assert values.loc[values["panel"] == 2, "note"].tolist() == ["mode E diverged at epoch 3.2 (step 63)"]
    assert values.loc[values["panel"] == 3, "note"].unique().tolist() == ["not run"]
    page = (tmp_path / "out" / "notebook.html").read_text()
    assert loads_of(page) == [] and "data:image/png;base64," in page and MARK in page
    assert "<title>Figure 1: A title</title>" in page and "not run" in page
    notebook = json.loads((tmp_path / "out" / "notebook.ipynb").read_text())
    assert all(cell["outputs"] for cell in notebook["cells"] if cell.get("metadata", {}).get("alt"))
    assert not list((tmp_path / "out").glob(".*"))


def test_table_notebook(tmp_path):
    write_metrics(tmp_path, "a")
    row = {"label": "Distilled & T²", "tables": ["a.parquet", "nowhere.parquet"], "reported": {"best": KEY}}
    done = stage(tmp_path, table_spec(tmp_path, row), "notebooks/table.ipynb")
    assert done.returncode == 0 and re.fullmatch(r"finished in .*\n", done.stderr), done.stderr
    out = tmp_path / "out"
    assert {file.suffix for file in out.glob("table.*")} == {".html", ".csv", ".tex", ".md"}
    assert "| Distilled & T² | 90.00" in re.sub(" +", " ", (out / "table.md").read_text())
    assert r"Distilled \& T\textsuperscript{2} & 90.00 & 85.18 & +4.82" in (out / "table.tex").read_text()
    assert "Distilled &amp; T²" in (out / "table.html").read_text()
    assert pd.read_csv(out / "table.csv")[["best", "best_reported", "n", "missing"]].values.tolist() == [
        [90, 85.18, 1, 1]
    ]
    assert loads_of((out / "table.html").read_text() + (out / "notebook.html").read_text()) == []


def test_a_damaged_table_gives_the_notebooks_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    done = stage(tmp_path, spec_of(curve_panel(line("one", "a"))), "notebooks/figure.ipynb")
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert (
        done.stderr.strip() == f"error: {tmp_path}/a.parquet is damaged or no Parquet file: delete it and make it again"
    )


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("1 / 0", "cell 2, failed with ZeroDivisionError: division by zero; its traceback is above"),
        ("pass", "made no figure.svg, figure.png, values.csv of p_figure_1: give notebooks/figure.ipynb for a figure"),
    ],
)
def test_a_template_that_fails_or_makes_nothing(source, sentence, tmp_path):
    notebook = json.loads((REPOSITORY / "notebooks" / "figure.ipynb").read_text())
    parameters = next(cell for cell in notebook["cells"] if cell["metadata"].get("tags") == ["parameters"])
    notebook["cells"] = [parameters, parameters | {"id": "own", "metadata": {}, "source": source}]
    (tmp_path / "own.ipynb").write_text(json.dumps(notebook))
    done = stage(tmp_path, spec_of(EVERY_KIND["embedding"]), tmp_path / "own.ipynb")
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert sentence in done.stderr.splitlines()[-1] and "papermill" not in done.stderr


@pytest.mark.parametrize(
    ("change", "template", "sentence"),
    [
        ({"panels": [{"kind": "pie"}]}, "notebooks/figure.ipynb", "panel 1 is of kind 'pie'"),
        ({}, "notebooks/none.ipynb", "there is no notebook notebooks/none.ipynb"),
    ],
)
def test_wrong_arguments_are_told_before_a_notebook_starts(change, template, sentence, tmp_path):
    done = stage(tmp_path, spec_of(EVERY_KIND["embedding"]) | change, template)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["figure", "table"])
def test_templates_are_kept_without_outputs_and_import_only_plotting_and_evidence(name):
    notebook = json.loads((REPOSITORY / "notebooks" / f"{name}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    source = "".join("".join(cell["source"]) + "\n" for cell in code)
    imported = set(re.findall(r"^from (\S+) import", source, re.M)) | set(re.findall(r"^import (\S+)", source, re.M))
    assert all(re.match(r"IPython\.display|workflow_scripts\.(plotting|evidence)\b", module) for module in imported)
    assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1


def test_every_metric_of_a_panel_has_a_name():
    assert style.metric_label("loss", "train") == "Training loss"
    assert style.weights_label("w70-150") == "$w_{70-150}$" and style.weights_label("mode_G") == "mode_G"

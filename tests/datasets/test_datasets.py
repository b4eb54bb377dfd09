"""Data sets: what is prepared is what was given, bad data is named, and augmentation is the textbook's."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as vision

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import ARRAYS, ImageData, PreparedInfo, load
from workflow_scripts.datasets.images.in_memory import InMemoryData
from workflow_scripts.datasets.images.npy import open_array
from workflow_scripts.datasets.prepare import prepare, write_array
from workflow_scripts.datasets.registry import INFO, info_of_arrays

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def small_arrays(shape=(8, 8, 3), train=12, test=6, classes=3):
    """Random images and labels that hold every class."""
    random = np.random.default_rng(0)
    return {
        "x_train.npy": random.integers(0, 256, (train, *shape), dtype=np.uint8),
        "y_train.npy": np.arange(train) % classes,
        "x_test.npy": random.integers(0, 256, (test, *shape), dtype=np.uint8),
        "y_test.npy": np.arange(test) % classes,
    }


def write_source(folder, arrays):
    folder.mkdir(exist_ok=True)
    for file, array in arrays.items():
        np.save(folder / file, array)
    return write_checksums(folder)


def write_checksums(folder):
    lines = [f"{checksum(path)}  {path.name}\n" for path in sorted(folder.glob("*.npy"))]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


def refusal(*arguments):
    """Prepare, expect a refusal, give its sentence."""
    with pytest.raises(InputError) as caught:
        prepare(*arguments)
    return str(caught.value)


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "source", small_arrays())


def stage(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "workflow_scripts.stages.prepare_data", *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )


# The registry and the prepared form


def test_planning_imports_no_torch():
    modules = (
        "workflow_scripts.datasets.registry, workflow_scripts.datasets.images.arrays, workflow_scripts.datasets.prepare"
    )
    check = f"import sys, {modules}; print(sorted({{'torch', 'torchvision', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_digits_are_split_by_class_and_need_no_network(tmp_path):
    info = prepare("digits", tmp_path / "digits")
    data = load(tmp_path / "digits")
    assert data.info == info
    assert {field: getattr(info, field) for field in vars(INFO["digits"])} == vars(INFO["digits"])
    assert data.x_train.shape == (1437, 8, 8, 1) and data.x_test.shape == (360, 8, 8, 1)
    assert data.x_train.min() == 0 and data.x_train.max() == 255
    whole = np.bincount(np.concatenate([data.y_train, data.y_test]))
    assert np.abs(np.bincount(data.y_test) - whole / 5).max() <= 1


def test_digits_train_and_test_are_all_of_scikit_learns(tmp_path):
    from sklearn.datasets import load_digits

    prepare("digits", tmp_path / "digits")
    data = load(tmp_path / "digits")
    ours = np.concatenate([data.x_train, data.x_test])[..., 0] * (16 / 255)
    rows = np.column_stack([np.rint(ours).reshape(1797, 64), np.concatenate([data.y_train, data.y_test])])
    theirs = np.column_stack([load_digits().data, load_digits().target])
    assert np.array_equal(rows[np.lexsort(rows.T)], theirs[np.lexsort(theirs.T)])


def test_preparing_twice_gives_the_same_bytes(tmp_path):
    for out in ("one", "two"):
        prepare("digits", tmp_path / out)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["SHA256SUMS", "dataset.json", "dataset.yaml", *sorted(ARRAYS)]
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_own_data_arrive_unchanged_with_exact_statistics(source, tmp_path):
    given = small_arrays()
    info = prepare("mine", tmp_path / "out", source)
    data = load(tmp_path / "out")
    for file in ARRAYS:
        ours = getattr(data, file.removesuffix(".npy"))
        assert isinstance(ours, np.memmap) and np.array_equal(ours, given[file])
    assert (data.x_train.dtype, data.y_train.dtype) == (np.uint8, np.int64)
    pixels = given["x_train.npy"].astype(np.float64) / 255
    np.testing.assert_allclose(info.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(info.std, pixels.std(axis=(0, 1, 2)), rtol=1e-12)
    assert (info.name, info.image_size, info.channels, info.classes, info.train, info.test) == ("mine", 8, 3, 3, 12, 6)
    assert (info.crop_padding, info.flip, info.source) == (1, True, str(source))
    assert info.sha256 == {file: checksum(tmp_path / "out" / file) for file in ARRAYS}
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=True, capture_output=True)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_grey_images_may_come_without_a_channel(tmp_path, shape):
    arrays = small_arrays(shape)
    source = write_source(tmp_path / "source", arrays)
    assert info_of_arrays(source).channels == prepare("mine", tmp_path / "out", source).channels == 1
    assert np.array_equal(load(tmp_path / "out").x_test, arrays["x_test.npy"].reshape(6, 8, 8, 1))


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64, ">i2"])
def test_labels_of_any_integer_type_become_int64(tmp_path, kind):
    arrays = small_arrays()
    arrays |= {file: arrays[file].astype(kind) for file in ("y_train.npy", "y_test.npy")}
    prepare("mine", tmp_path / "out", write_source(tmp_path / "source", arrays))
    data = load(tmp_path / "out")
    assert data.y_train.dtype == np.int64 and np.array_equal(data.y_train, np.arange(12) % 3)


def test_column_major_arrays_are_written_row_by_row(tmp_path):
    arrays = small_arrays()
    source = write_source(tmp_path / "source", {file: np.asfortranarray(array) for file, array in arrays.items()})
    prepare("mine", tmp_path / "out", source)
    data = load(tmp_path / "out")
    assert data.x_train.flags.c_contiguous and np.array_equal(data.x_train, arrays["x_train.npy"])


@pytest.mark.parametrize("rows", [1, 1000, 2001])
def test_arrays_written_in_blocks_are_numpys_own_files(tmp_path, rows):
    array = np.arange(rows * 2, dtype=np.int64).reshape(rows, 2)
    write_array(tmp_path / "ours.npy", array, array.dtype)
    np.save(tmp_path / "theirs.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_what_planning_reads_is_what_preparing_writes(source, tmp_path):
    (source / "dataset.yaml").write_text("crop_padding: 3\nflip: false\n")
    planned = info_of_arrays(source, "mine")
    prepared = prepare("mine", tmp_path / "out", source)
    assert {field: getattr(prepared, field) for field in vars(planned)} == vars(planned)
    assert (planned.crop_padding, planned.flip) == (3, False)
    assert info_of_arrays(tmp_path / "out", "mine") == planned
    assert info_of_arrays(source).name == "source"


def test_a_prepared_folder_is_a_mirror(tmp_path):
    first = prepare("digits", tmp_path / "digits")
    again = prepare("digits", tmp_path / "again", tmp_path / "digits")
    assert (again.sha256, again.mean, again.std) == (first.sha256, first.mean, first.std)


# Bad sources, one by one


def without_class(arrays, number):
    return np.where(arrays["y_train.npy"] == number, 0, arrays["y_train.npy"])


BAD_ARRAYS = {
    "float pixels": ({"x_train.npy": lambda a: a["x_train.npy"] / 255}, "x_train.npy is float64; pixels must be uint8"),
    "flat images": ({"x_test.npy": lambda a: a["x_test.npy"].reshape(6, -1)}, "x_test.npy has 2 dimensions"),
    "a number": ({"x_test.npy": lambda a: np.uint8(3)}, "x_test.npy has 0 dimensions"),
    "alpha": ({"x_train.npy": lambda a: np.zeros((12, 8, 8, 4), np.uint8)}, "x_train.npy has 4 channels"),
    "not square": ({"x_train.npy": lambda a: a["x_train.npy"][:, :, :7]}, "holds images of 8 × 7 pixels"),
    "no images": ({"x_train.npy": lambda a: a["x_train.npy"][:0]}, "x_train.npy holds no images"),
    "sizes differ": ({"x_test.npy": lambda a: a["x_test.npy"][:, :7, :7]}, "both splits must agree"),
    "float labels": ({"y_train.npy": lambda a: a["y_train.npy"] / 1.0}, "y_train.npy is float64; labels must be"),
    "one-hot labels": ({"y_test.npy": lambda a: np.eye(3, dtype=int)[a["y_test.npy"]]}, "y_test.npy has 2 dimensions"),
    "no labels": ({"y_test.npy": lambda a: a["y_test.npy"][:0]}, "y_test.npy holds no labels"),
    "negative": ({"y_train.npy": lambda a: a["y_train.npy"] - 1}, "y_train.npy has the label -1; labels start at 0"),
    "from one": ({"y_train.npy": lambda a: a["y_train.npy"] + 1}, "y_train.npy has no image of class 0"),
    "a gap": ({"y_train.npy": lambda a: without_class(a, 1)}, "y_train.npy has no image of class 1"),
    "one class": (
        {"y_train.npy": lambda a: a["y_train.npy"] * 0, "y_test.npy": lambda a: a["y_test.npy"] * 0},
        "y_train.npy has a single class",
    ),
    "test label": (
        {"y_test.npy": lambda a: a["y_test.npy"] + 1},
        "y_test.npy has the label 3, but the classes are 0 to",
    ),
    "lengths": ({"y_train.npy": lambda a: a["y_train.npy"][:-1]}, "holds 12 images, but y_train.npy 11 labels"),
    "constant": ({"x_train.npy": lambda a: a["x_train.npy"] * np.uint8([1, 0, 1])}, "channel 1 of x_train.npy is the"),
}


@pytest.mark.parametrize(("changes", "sentence"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path, changes, sentence):
    arrays = small_arrays()
    source = write_source(tmp_path / "source", arrays | {file: change(arrays) for file, change in changes.items()})
    assert sentence in refusal("mine", tmp_path / "out", source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def damage(path, change):
    path.write_bytes(change(path.read_bytes()))


BAD_FILES = {
    "truncated": (lambda f: damage(f / "x_train.npy", lambda b: b[:-5]), "x_train.npy is truncated"),
    "header only": (lambda f: damage(f / "x_train.npy", lambda b: b[:40]), "x_train.npy cannot be read as a .npy"),
    "empty": (lambda f: damage(f / "y_test.npy", lambda b: b""), "y_test.npy cannot be read as a .npy"),
    "surplus": (lambda f: damage(f / "y_test.npy", lambda b: b + b"abc"), "y_test.npy is 3 bytes longer"),
    "text": (lambda f: (f / "y_test.npy").write_text("0\n1\n"), "y_test.npy cannot be read as a .npy"),
    "objects": (lambda f: np.save(f / "y_test.npy", np.array([0, None])), "y_test.npy holds pickled Python objects"),
    "missing": (lambda f: (f / "x_test.npy").unlink(), "x_test.npy is missing"),
}


@pytest.mark.parametrize(("change", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused(source, tmp_path, change, sentence):
    change(source)
    write_checksums(source)
    assert sentence in refusal("mine", tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_a_pickle_is_never_run(source, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(source / "y_test.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    write_checksums(source)
    assert "pickled" in refusal("mine", tmp_path / "out", source)
    assert not (tmp_path / "sprung").exists()


BAD_CHECKSUMS = {
    "changed file": (
        lambda f: damage(f / "x_train.npy", lambda b: b[:-1] + bytes([b[-1] ^ 1])),
        "x_train.npy does not",
    ),
    "no list": (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
    "not listed": (
        lambda f: damage(f / "SHA256SUMS", lambda b: b[: b.rindex(b"\n", 0, -1) + 1]),
        "not list y_train.npy",
    ),
    "no digest": (lambda f: damage(f / "SHA256SUMS", lambda b: b"md5 " + b), "SHA256SUMS line 1 is not a SHA-256"),
}


@pytest.mark.parametrize(("change", "sentence"), BAD_CHECKSUMS.values(), ids=BAD_CHECKSUMS)
def test_bad_checksums_are_refused(source, tmp_path, change, sentence):
    change(source)
    assert sentence in refusal("mine", tmp_path / "out", source)


def test_checksums_in_every_form_that_sha256sum_reads(source, tmp_path):
    (source / "notes.txt").write_text("seen, but not data")
    (source / "SHA256SUMS").write_text(
        f"{checksum(source / 'notes.txt')}  notes.txt\n"
        f"{checksum(source / 'x_train.npy').upper()}  x_train.npy\n"
        f"{checksum(source / 'y_train.npy')} *y_train.npy\n"
        f"{checksum(source / 'x_test.npy')}  ./x_test.npy\n"
        f"{checksum(source / 'y_test.npy')}  y_test.npy"
    )
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=source, check=True, capture_output=True)
    assert prepare("mine", tmp_path / "out", source).classes == 3


def test_every_problem_is_told_at_once(source, tmp_path):
    (source / "x_test.npy").unlink()
    np.save(source / "y_train.npy", np.arange(12) - 1)
    sentences = refusal("mine", tmp_path / "out", source)
    assert all(part in sentences for part in ("x_test.npy is missing", "the label -1", "y_train.npy does not have"))


BAD_SETTINGS = {
    "padding: 2": "'padding' is not known",
    "crop_padding: 8": "crop_padding is 8, but must be a whole number from 0 to 7",
    "crop_padding: true": "crop_padding is True",
    "flip: 1": "flip is 1, but must be true or false",
    "- flip": "must be a mapping",
    "flip: [": "is not valid YAML",
}


@pytest.mark.parametrize(("text", "sentence"), BAD_SETTINGS.items())
def test_bad_augmentation_settings_are_refused(source, tmp_path, text, sentence):
    (source / "dataset.yaml").write_text(text)
    assert sentence in refusal("mine", tmp_path / "out", source)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"x_train.npy": np.zeros((1436, 8, 8, 1), np.uint8)},
            "x_train.npy has shape (1436, 8, 8, 1), but this data set",
        ),
        ({"x_test.npy": np.zeros((360, 8, 8, 3), np.uint8)}, "this data set's is (360, 8, 8, 1)"),
        ({"y_train.npy": np.arange(1437) % 9}, "y_train.npy has no image of class 9"),
        ({"y_train.npy": np.arange(1437) % 11}, "y_train.npy has the label 10, but this data set's classes are 0 to 9"),
    ],
)
def test_a_mirror_must_be_what_it_claims(tmp_path, change, sentence):
    prepare("digits", tmp_path / "digits")
    (tmp_path / "digits" / "dataset.json").unlink()
    mirror = write_source(tmp_path / "digits", change)
    assert sentence in refusal("digits", tmp_path / "out", mirror)


def test_a_mirror_may_not_change_the_augmentation(tmp_path):
    prepare("digits", tmp_path / "digits")
    (tmp_path / "digits" / "dataset.yaml").write_text("flip: true\n")
    assert "fixed at crop_padding 1 and flip false" in refusal("digits", tmp_path / "out", tmp_path / "digits")


def test_an_unknown_name_says_what_is_known_and_what_to_do(tmp_path):
    sentence = refusal("cifar11", tmp_path / "out")
    assert "cifar10, fashion_mnist, digits" in sentence and "data.sources.cifar11" in sentence
    assert "is not a directory" in refusal("mine", tmp_path / "out", tmp_path / "nowhere")


def test_only_prepared_data_are_replaced(source, tmp_path):
    out = tmp_path / "out"
    prepare("mine", out, source)
    assert prepare("digits", out).name == load(out).info.name == "digits"
    assert "would replace its own source" in refusal("digits", out, out)
    (out / "dataset.json").unlink()
    assert prepare("digits", out).name == "digits"
    (out / "thesis.tex").write_text("precious")
    assert "holds something else" in refusal("digits", out)
    assert "holds something else" in refusal("digits", source)
    assert "holds something else" in refusal("digits", source / "x_train.npy")
    assert (out / "thesis.tex").read_text() == "precious" and len(list(source.iterdir())) == 5


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_sentence(tmp_path, data):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(4))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 80))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        open_array(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)


# Prepared folders that were damaged later


BAD_PREPARED = {
    "truncated": (lambda f: damage(f / "x_train.npy", lambda b: b[:-1]), "x_train.npy is truncated"),
    "missing": (lambda f: (f / "y_test.npy").unlink(), "y_test.npy is missing"),
    "other shape": (lambda f: np.save(f / "y_train.npy", np.arange(3)), "y_train.npy is int64 of shape (3,), but"),
    "other type": (lambda f: np.save(f / "y_train.npy", np.zeros(12)), "but dataset.json says int64 of shape (12,)"),
    "no description": (lambda f: (f / "dataset.json").unlink(), "is no prepared data set; make one with"),
    "no JSON": (lambda f: (f / "dataset.json").write_text("{"), "is not a description that preparing writes"),
    "other JSON": (lambda f: (f / "dataset.json").write_text('{"a": 1}'), "is not a description that preparing writes"),
}


@pytest.mark.parametrize(("change", "sentence"), BAD_PREPARED.values(), ids=BAD_PREPARED)
def test_damaged_prepared_folders_are_refused(source, tmp_path, change, sentence):
    prepare("mine", tmp_path / "out", source)
    change(tmp_path / "out")
    with pytest.raises(InputError) as caught:
        load(tmp_path / "out")
    assert sentence in str(caught.value)


# The stage and the download


def test_stage_prepares_or_says_why_not(source, tmp_path):
    done = stage("mine", "--out", tmp_path / "out", "--source", source)
    assert done.returncode == 0 and "12 training and 6 test images of 3 classes, 8 × 8 × 3" in done.stdout
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["name"] == "mine"
    failed = stage("nothing", "--out", tmp_path / "none", "--source", "")
    assert failed.returncode == 1 and failed.stderr.startswith("error: 'nothing' is not a data set")
    assert len(failed.stderr.splitlines()) == 1


@contextlib.contextmanager
def everything_through(proxy):
    """Send what this process asks of the network to one address."""
    handler = urllib.request.ProxyHandler({"http": proxy, "https": proxy})
    urllib.request.install_opener(urllib.request.build_opener(handler))
    try:
        yield
    finally:
        urllib.request.install_opener(None)


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_without_a_network_the_remedy_is_told_and_nothing_is_left(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with everything_through(f"http://127.0.0.1:{closed}"):
        sentence = refusal(name, tmp_path / name)
    assert sentence.startswith(f"{name} could not be downloaded from its publisher") and "refused" in sentence
    assert f"data.sources.{name}" in sentence and "\n" not in sentence
    assert list(tmp_path.iterdir()) == []


class LoginPage(http.server.BaseHTTPRequestHandler):
    """A captive portal: every address answers with the same page."""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(b"login")

    def log_message(self, *_):
        """Keep quiet."""


def test_a_download_that_is_something_else_is_never_taken_for_data(tmp_path):
    name = "fashion_mnist"  # published over plain HTTP, which a proxy can answer itself
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LoginPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with everything_through(f"http://127.0.0.1:{server.server_port}"):
            sentence = refusal(name, tmp_path / name)
    finally:
        server.shutdown()
        server.server_close()
    assert "corrupted" in sentence and f"data.sources.{name}" in sentence and "\n" not in sentence
    assert list(tmp_path.iterdir()) == []


# On the device


def image_data(size=8, channels=3, padding=1, n=12):
    random = np.random.default_rng(1)
    x = random.integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    y = np.arange(n) % 3
    pixels = x.astype(np.float64) / 255
    info = PreparedInfo(
        name="random",
        image_size=size,
        channels=channels,
        classes=3,
        train=n,
        test=5,
        crop_padding=padding,
        flip=True,
        mean=tuple(pixels.mean(axis=(0, 1, 2))),
        std=tuple(pixels.std(axis=(0, 1, 2))),
        source="",
        sha256={},
    )
    return ImageData(x, y, x[5:10], y[5:10], info)


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_augment_is_torchvisions_pad_crop_and_flip_of_each_image(device, data):
    size, padding = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 4))
    channels, n = data.draw(st.sampled_from([1, 3])), data.draw(st.integers(1, 6))
    tiny_data = InMemoryData(image_data(size, channels, padding, n), device)
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = torch.Generator().manual_seed(seed)
    shift = torch.randint(0, 2 * padding + 1, (n, 2), generator=random)
    flip = torch.rand(n, generator=random) < 0.5
    ours = tiny_data.augment(tiny_data.x["train"], shift.to(device), flip.to(device)).cpu()
    for image, out, (top, left), mirrored in zip(tiny_data.x["train"].cpu(), ours, shift.tolist(), flip, strict=True):
        expected = vision.crop(vision.pad(image, [padding]), top, left, size, size)
        assert torch.equal(out, vision.horizontal_flip(expected) if mirrored else expected)


@pytest.mark.parametrize("device", DEVICES)
def test_augment_moves_a_lit_corner_as_told_and_pads_with_black(device):
    data = image_data(size=4, channels=1, padding=2, n=3)
    data.x_train[:] = 0
    data.x_train[:, 0, 0] = 9
    tiny_data = InMemoryData(data, device)
    shift = torch.tensor([[0, 1], [0, 1], [3, 2]], device=device)
    flip = torch.tensor([False, True, False], device=device)
    out = tiny_data.augment(tiny_data.x["train"], shift, flip)
    assert out.dtype == torch.uint8 and out.is_contiguous(memory_format=torch.channels_last)
    # Padding puts the corner at (2, 2), a crop from (0, 1) at (2, 1), mirroring at (2, 2); (3, 2) cuts it off.
    assert torch.nonzero(out[:, 0]).tolist() == [[0, 2, 1], [1, 2, 2]]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
def test_normalise_is_the_closed_form_in_channels_last(device, channels):
    data = image_data(channels=channels)
    tiny_data = InMemoryData(data, device)
    x = tiny_data.normalise(tiny_data.x["train"])
    expected = (data.x_train.astype(np.float64) / 255 - data.info.mean) / data.info.std
    np.testing.assert_allclose(x.permute(0, 2, 3, 1).cpu().numpy(), expected, atol=2e-6)
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)
    assert x.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert np.array_equal(tiny_data.x["train"].permute(0, 2, 3, 1).cpu().numpy(), data.x_train)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("limit", "sizes"), [(None, [5, 5, 2]), (7, [5, 2]), (5, [5]), (100, [5, 5, 2])])
def test_batches_are_the_first_images_in_their_order(device, limit, sizes):
    tiny_data = InMemoryData(image_data(), device)
    pairs = list(tiny_data.batches("train", 5, limit))
    assert [len(y) for _, y in pairs] == [len(x) for x, _ in pairs] == sizes
    if pairs:
        assert torch.equal(torch.cat([x for x, _ in pairs]), tiny_data.normalise(tiny_data.x["train"][:limit]))
        assert torch.equal(torch.cat([y for _, y in pairs]), tiny_data.y["train"][:limit])


def test_resident_data_are_bytes_that_outlive_their_files(source, tmp_path):
    prepare("mine", tmp_path / "out", source)
    tiny_data = InMemoryData(load(tmp_path / "out"))
    (tmp_path / "out" / "x_train.npy").write_bytes(b"")
    for split, count in (("train", 12), ("test", 6)):
        assert tiny_data.x[split].shape == (count, 3, 8, 8) and tiny_data.x[split].dtype == torch.uint8
        assert tiny_data.x[split].is_contiguous(memory_format=torch.channels_last)
        assert tiny_data.y[split].dtype == torch.int64
    assert np.array_equal(tiny_data.x["train"].permute(0, 2, 3, 1).numpy(), small_arrays()["x_train.npy"])
    assert (tiny_data.info.name, tiny_data.device) == ("mine", torch.device("cpu"))

"""Folders of pictures: listed, decoded by workers, transformed as torchvision does it, and trained on."""

import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import datasets, transforms

from tests.shared.recipes import small_recipe
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.images.arrays import read_description
from workflow_scripts.datasets.images.decoding import read_rgb
from workflow_scripts.datasets.images.pictures import MEAN, STD
from workflow_scripts.datasets.opened import open_data
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.sampling import Share
from workflow_scripts.evidence.tables import read_table

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
needs_unshare = pytest.mark.skipif(
    shutil.which("unshare") is None, reason="no unshare (util-linux) to hide /dev/shm with"
)
CLASSES, PER_CLASS, SIDE = ("ant", "bee", "cat"), {"train": 9, "val": 4}, 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three classes of noisy pictures in several sizes and forms, each class brighter in one colour."""
    place, random = tmp_path_factory.mktemp("my pictures"), np.random.default_rng(0)
    for split, count in PER_CLASS.items():
        for channel, name in enumerate(CLASSES):
            (place / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 120, (30 + 5 * i, 50 - 3 * i, 3), dtype=np.uint8)
                pixels[..., channel] += 120
                picture, ending = Image.fromarray(pixels), ("png", "JPEG", "jpg")[i % 3]
                picture.save(place / split / name / f"{name}_{i}.{ending}")
    Image.new("L", (40, 40), 99).save(place / "train" / "ant" / "grey.png")
    (place / "train" / "ant" / "notes.txt").write_text("no picture")
    (place / "dataset.yaml").write_text(f"image_size: {SIDE}\n")
    return place


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("prepared") / "mine"
    prepare("mine", place, folder)
    return place


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    """The folder once more, to be spoilt: its pictures are links."""
    for path in folder.rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.relative_to(folder)).symlink_to(path)
    return tmp_path


def test_description(prepared, folder):
    info = read_description(prepared)
    assert (info.form, info.image_size, info.channels, info.classes, info.train, info.test) == (
        "pictures",
        24,
        3,
        3,
        28,
        12,
    )
    assert (info.mean, info.std, info.source) == (MEAN, STD, str(folder))


def test_labels_are_those_of_torchvision(prepared, folder):
    listed = pd.read_parquet(prepared / "pictures.parquet")
    for split, below in (("train", "train"), ("test", "val")):
        expected = [
            (Path(file).relative_to(folder).as_posix(), label)
            for file, label in datasets.ImageFolder(folder / below).samples
        ]
        rows = listed[listed["split"] == split]
        assert list(zip(rows["file"], rows["label"], strict=True)) == expected


def test_pictures_below_folders_of_a_class_are_listed_as_by_torchvision(copied, tmp_path_factory):
    """Tiny ImageNet keeps a class' pictures in <class>/images/."""
    for split in ("train", "val"):
        for place in list((copied / split).iterdir()):
            for below, pictures in (("images", "*_[1-9].*"), ("b/c", "*_0.*")):
                (place / below).mkdir(parents=True)
                for path in list(place.glob(pictures)):
                    path.rename(place / below / path.name)
    other = tmp_path_factory.mktemp("elsewhere")
    Image.new("RGB", (30, 30)).save(other / "linked.png")
    (copied / "train" / "bee" / "more").symlink_to(other)
    place = tmp_path_factory.mktemp("below") / "mine"
    info = prepare("mine", place, copied)
    assert (info.train, info.test) == (29, 12)
    listed = pd.read_parquet(place / "pictures.parquet").query("split == 'train'")
    expected = [
        (Path(file).relative_to(copied).as_posix(), label)
        for file, label in datasets.ImageFolder(copied / "train").samples
    ]
    assert list(zip(listed["file"], listed["label"], strict=True)) == expected
    assert sum(len(labels) for _, labels in open_data(place, CPU).batches("train", 10)) == 29


def test_what_is_hidden_is_no_class_and_no_picture(copied, prepared, tmp_path_factory):
    (copied / "train" / ".ipynb_checkpoints").mkdir()
    (copied / "train" / "ant" / "._ant_0.png").write_bytes(b"attributes")
    (copied / "val" / "bee" / ".thumbnails").mkdir()
    Image.new("RGB", (8, 8)).save(copied / "val" / "bee" / ".thumbnails" / "small.png")
    place = tmp_path_factory.mktemp("hidden") / "mine"
    assert prepare("mine", place, copied).sha256 == read_description(prepared).sha256


def test_sixteen_bits_of_grey_are_scaled(tmp_path):
    grey = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    for name in ("8.png", "16.png", "16.tif", "16.pgm"):
        pixels = grey if name == "8.png" else grey.astype(np.uint16) * 257
        Image.fromarray(pixels).save(tmp_path / name)
        assert np.array_equal(np.asarray(read_rgb(str(tmp_path / name))), np.stack([grey] * 3, axis=2)), name


@pytest.mark.parametrize("white_is_zero", [True, False])
def test_a_tiff_of_16_bits_says_what_is_white(white_is_zero, tmp_path):
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, int(not white_is_zero)), (273, 4, 8),
            (277, 3, 1), (278, 3, 1), (279, 4, 4)]  # fmt: skip
    content = b"II*\0" + struct.pack("<I2H", 12, 0, 65535)
    content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    (tmp_path / "two.tif").write_bytes(content + bytes(4))
    found = np.asarray(read_rgb(str(tmp_path / "two.tif")))[0, :, 0]
    assert found.tolist() == ([255, 0] if white_is_zero else [0, 255])


@pytest.mark.parametrize(("kind", "told"), [(np.float32, "floats"), (np.int32, "32-bit integers")])
def test_values_of_unknown_range_are_refused(copied, tmp_path_factory, kind, told):
    save = Image.fromarray(np.arange(1600).reshape(40, 40).astype(kind)).save
    save(copied / "val" / "cat" / "strange.tif")
    place = tmp_path_factory.mktemp("strange") / "mine"
    prepare("mine", place, copied)
    with pytest.raises(InputError, match=rf"val/cat/strange\.tif has {told}, .*; save it with 8 or 16 bits"):
        list(open_data(place, CPU).batches("test", 5))


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks."""
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
             for kind, data in chunks]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


HEADER = (b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0))
PIXELS = (b"IDAT", zlib.compress(b"\0" * 20))
MALFORMED = {
    "a bomb": png((b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)), PIXELS, (b"IEND", b"")),
    "a huge text": png(HEADER, (b"zTXt", b"k\0\0" + zlib.compress(b"x" * 3_000_000)), PIXELS, (b"IEND", b"")),
    "a short header": png((b"IHDR", b"\0"), PIXELS, (b"IEND", b"")),
    "no picture": b"hello",
    "a wrong ending": b"BM" + b"\xff" * 60,
    "a tiff of nothing": b"II*\0\x08\0\0\0\x01\0\x00\x01\x04\0\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
    "a negative size": b"P6\n-5 4\n255\nabc",
}


@pytest.mark.parametrize("contents", MALFORMED.values(), ids=MALFORMED)
def test_whatever_a_decoder_raises_is_one_sentence(tmp_path, contents):
    (tmp_path / "victim.png").write_bytes(contents)
    with pytest.raises(InputError, match=r"victim\.png cannot be decoded \(.+\); copy it again") as told:
        read_rgb(str(tmp_path / "victim.png"))
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


def test_a_picture_that_would_be_resized_to_gigabytes_is_told(tmp_path):
    Image.new("L", (1, 60_000)).save(tmp_path / "thin.png")
    with pytest.raises(InputError, match=r"thin\.png is 1 x 60000 pixels, too long and thin to be resized"):
        read_rgb(str(tmp_path / "thin.png"))
    Image.new("L", (3, 300)).save(tmp_path / "scroll.png")
    assert read_rgb(str(tmp_path / "scroll.png")).size == (3, 300)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP"]), st.data())
def test_a_spoilt_picture_is_decoded_or_told(tmp_path_factory, form, data):
    path = tmp_path_factory.mktemp("spoilt") / "picture"
    Image.fromarray(np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)).save(path, form)
    contents = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(contents)
    with contextlib.suppress(InputError):
        assert read_rgb(str(path)).mode == "RGB"


def test_evaluation_is_torchvisions(prepared, folder):
    data = open_data(prepared, CPU)
    usual = transforms.Compose(
        [
            transforms.Resize(round(SIDE * 256 / 224)),
            transforms.CenterCrop(SIDE),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    expected = [usual(picture) for picture, _ in datasets.ImageFolder(folder / "val")]
    images = torch.cat([images for images, _ in data.batches("test", 5)])
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images, torch.stack(expected), rtol=0, atol=1e-6)


def epoch(data, number=1, **options):
    """Images and labels of an epoch in batches of 5."""
    return list(
        data.epoch_batches(**{"seed": 3, "epoch": number, "batch_size": 5, "samples": 28, "augment": True, **options})
    )


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for batch, again in zip(one, other, strict=True) for a, b in zip(batch, again, strict=True)
    )


def test_an_epoch_is_a_function_of_seed_and_epoch_whoever_decodes(prepared):
    torch.manual_seed(5)
    alone = epoch(open_data(prepared, CPU))
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1)), "decoding drew from the training's own random numbers"
    assert same(alone, epoch(open_data(prepared, CPU, workers=2)))
    assert not same(alone, epoch(open_data(prepared, CPU), 2))
    assert not same(alone, epoch(open_data(prepared, CPU), seed=4))


LARGE = 512  # pixels: a batch of 5 takes 4 MB
DECODE = f"""
import sys, torch
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.opened import open_data
data = open_data(sys.argv[1], torch.device("cpu"), workers=2)
try:
    torch.save(list(data.epoch_batches(3, 1, 5, 28, True, side={LARGE})), sys.argv[2])
except InputError as error:
    print(error)
"""


def decoded_with(shared_memory: str, prepared: Path, out: Path) -> str:
    """Decode an epoch by workers in a namespace whose /dev/shm is mounted with these options; what is printed."""
    mount = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o {shared_memory} none /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("no namespace with a /dev/shm of its own can be made here")
    command = [*mount, sys.executable, "-c", DECODE, prepared, out]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@needs_unshare
def test_workers_need_no_shared_memory_for_pictures(prepared, tmp_path):
    assert decoded_with("size=1m", prepared, tmp_path / "decoded") == ""
    assert same(epoch(open_data(prepared, CPU), side=LARGE), torch.load(tmp_path / "decoded"))


@needs_unshare
def test_workers_that_cannot_be_started_are_one_sentence(prepared, tmp_path):
    printed = decoded_with("ro", prepared, tmp_path / "decoded")
    assert "worker processes cannot be started" in printed and "training: {workers: 0}" in printed


def test_an_epoch_has_every_picture_once(prepared):
    data = open_data(prepared, CPU)
    batches = epoch(data, augment=False)
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 5, 5, 3]
    seen = torch.cat([images for images, _ in batches]).flatten(1)
    stored = torch.cat([images for images, _ in data.batches("train", 100)]).flatten(1)
    assert torch.equal(torch.cdist(seen, stored).argmin(1).sort().values, torch.arange(28))


def test_shares_make_up_the_batches(prepared):
    data = open_data(prepared, CPU)
    whole = epoch(data)
    parts = [epoch(data, share=Share(rank, 3)) for rank in range(3)]
    for number, (images, labels) in enumerate(whole):
        assert torch.equal(images, torch.cat([part[number][0] for part in parts]))
        assert torch.equal(labels, torch.cat([part[number][1] for part in parts]))
    evaluated = [labels for rank in range(3) for _, labels in data.batches("test", 5, share=Share(rank, 3))]
    assert sorted(map(len, evaluated)) == [2, 5, 5]


def test_pictures_come_in_the_size_of_the_phase(prepared):
    assert {images.shape[1:] for images, _ in epoch(open_data(prepared, CPU), side=16)} == {(3, 16, 16)}


def test_a_damaged_picture_is_named(copied, tmp_path_factory):
    victim = copied / "train" / "bee" / "bee_1.JPEG"
    whole = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(whole[: len(whole) // 2])
    place = tmp_path_factory.mktemp("damaged") / "mine"
    prepare("mine", place, copied)
    for workers in (0, 2):
        with pytest.raises(InputError, match=r"bee_1\.JPEG cannot be decoded .*; copy it again, or remove it"):
            epoch(open_data(place, CPU, workers))


def test_another_file_is_another_data_set(copied, prepared, tmp_path_factory):
    before = read_description(prepared).sha256
    place = tmp_path_factory.mktemp("again")
    assert prepare("mine", place / "same", copied).sha256 == before
    (copied / "val" / "cat" / "cat_0.png").rename(copied / "val" / "cat" / "other.png")
    assert prepare("mine", place / "other", copied).sha256 != before


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda f: (f / "val").rename(f / "test"),
            "val of mine is missing; pictures lie in train/<class> and val/<class>",
        ),
        (
            lambda f: (f / "val" / "cat").rename(f / "val" / "cow"),
            "must have the same classes, two at least, but cat, cow",
        ),
        (lambda f: [path.unlink() for path in (f / "train" / "bee").iterdir()], "train/bee holds no picture"),
        (lambda f: (f / "train" / "cat" / "new.png").touch(), r"train/cat/new\.png is empty; copy it again"),
        (
            lambda f: (f / "val" / "bee" / "gone.png").symlink_to("nowhere"),
            r"val/bee/gone\.png is not a file, or is a link",
        ),
        (lambda f: os.mkfifo(f / "val" / "bee" / "pipe.png"), r"val/bee/pipe\.png is not a file"),
        (lambda f: _touch(f / "val" / "bee", b"na\xefve.png"), r"val/bee/na\\xefve\.png has a name that is not UTF-8"),
        (
            lambda f: (f / "val" / "bee" / "loop").symlink_to(f / "val"),
            "val/bee/loop is a link to a folder that contains it",
        ),
        (lambda f: _replace(f / "dataset.yaml", "image_size: big"), "image_size is 'big', but must be a whole number"),
        (
            lambda f: _replace(f / "dataset.yaml", "crop_padding: 4"),
            "'crop_padding' is not known; the keys are image_size and flip",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(copied, tmp_path_factory, spoil, sentence):
    spoil(copied)
    place = tmp_path_factory.mktemp("never") / "mine"
    with pytest.raises(InputError, match=sentence):
        prepare("mine", place, copied)
    assert not place.exists()


def _touch(folder: Path, name: bytes) -> None:
    (folder / os.fsdecode(name)).write_bytes(b"x")


def _replace(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def test_imagenet_is_what_it_is_called(folder, tmp_path):
    with pytest.raises(
        InputError, match="holds 28 \\+ 12 pictures of 3 classes, but imagenet has 1281167 \\+ 50000 of 1000"
    ):
        prepare("imagenet", tmp_path / "imagenet", folder)
    with pytest.raises(
        InputError, match=r"cannot be downloaded .* name the folder in config\.yaml under data\.sources\.imagenet"
    ):
        prepare("imagenet", tmp_path / "imagenet")


RECIPE = small_recipe(
    data="mine",
    model={"name": "resnet10", "width": 0.125},
    initialisation={"rule": "default"},
    optimizer={"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4},
    schedule={"name": "knee", "lr": 0.05, "explore": 6},
    batch_size=7,
    samples_per_epoch=28,
    epochs=12,
    image_sides=[[6, 16], [6, 32]],
)


def test_a_training_learns_from_pictures_and_gives_the_same_bits_with_any_workers(prepared, tmp_path, stage):
    job = json.dumps({"recipe": RECIPE, "checkpoints": {"epoch-12": 48}})
    results = []
    for name, workers in (("one", 0), ("two", 2)):
        out = tmp_path / name / "runs" / "x"
        assert (
            stage("train", "--job", job, "--out", out, "--data", prepared, "--device", "cpu", "--workers", workers)[0]
            == 0
        )
        table = read_table(out / "metrics.parquet", "metrics").frame
        results.append((table, (out / "checkpoints" / "epoch-12.safetensors").read_bytes()))
    assert results[0][0].equals(results[1][0]) and results[0][1] == results[1][1]
    assert results[0][0].query("metric == 'accuracy' and split == 'test'")["value"].iloc[-1] > 80
    top5 = results[0][0].query("metric == 'top5_accuracy'")["value"]
    assert (top5 == 100).all()  # of three classes


@pytest.mark.skipif("CLOSER_LOOK_PICTURES" not in os.environ, reason="names no folder of real photographs to train on")
def test_real_photographs_are_learnt(tmp_path, stage):
    source = Path(os.environ["CLOSER_LOOK_PICTURES"])
    info = prepare("photographs", tmp_path / "data", source)
    samples = min(info.train, 2000)
    recipe = {**RECIPE, "batch_size": 50, "samples_per_epoch": samples, "epochs": 6, "image_sides": [[4, 32], [2, 48]]}
    recipe |= {"model": {"name": "resnet50", "width": 0.25}, "schedule": {"name": "knee", "lr": 0.05, "explore": 3}}
    out = tmp_path / "runs" / "x"
    job = json.dumps({"recipe": recipe, "checkpoints": {}})
    assert stage("train", "--job", job, "--out", out, "--data", tmp_path / "data", "--workers", 1)[0] == 0
    table = read_table(out / "metrics.parquet", "metrics").frame
    accuracy = table.query("metric == 'accuracy' and split == 'test'")["value"].iloc[-1]
    assert accuracy > 2 * 100 / info.classes

"""Registered text as its publishers give it: where it is, and what it must be where a checksum is known."""

import gzip
import shutil
import tarfile
import urllib.request
import zlib
from pathlib import Path

from workflow_scripts.base.checksums import checksum
from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.publishers import DOWNLOAD_ERRORS, PATIENCE
from workflow_scripts.datasets.text.settings import SAME_FILES

_MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
# Addresses of each data set's files with the checksums that their users agree on. None is known of IWSLT'14 and
# Multi30k: what came is recorded in the description of the prepared text.
FILES: dict[str, dict[str, str | None]] = {
    "iwslt14_de_en": {"https://wit3.fbk.eu/archive/2014-01/texts/de/en/de-en.tgz": None},
    "wmt14_en_de": {
        "http://statmt.org/wmt13/training-parallel-europarl-v7.tgz": (
            "sha256:0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7"
        ),
        "http://statmt.org/wmt13/training-parallel-commoncrawl.tgz": (
            "sha256:c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5"
        ),
        "http://data.statmt.org/wmt17/translation-task/training-parallel-nc-v12.tgz": (
            "sha256:2b45f30ef1d550d302fd17dd3a5cbe19134ccc4c2cf50c2dae534aee600101a2"
        ),
        "http://statmt.org/wmt14/test-full.tgz": "md5:a8cd784e006feb32ac6f3d9ec7eb389a",
    },
    "multi30k_de_en": {
        f"{_MULTI30K}{stem}.{language}.gz": None
        for stem in ("train", "val", "test_2016_flickr")
        for language in ("de", "en")
    },
    "squad": {
        f"{_SQUAD}train-v1.1.json": "sha256:3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
        f"{_SQUAD}dev-v1.1.json": "sha256:95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
    },
}
FILES |= {name: FILES[other] for name, other in SAME_FILES.items()}


def download(name: str, folder: Path) -> str:
    """Get a registered text data set into a folder, unpacked; where it came from, with the checksums of what came.

    Raises
    ------
    InputError : the publisher cannot be reached, or a file is damaged.
    """
    return ", ".join(f"{address} ({get(name, address, folder)})" for address in FILES[name])


def get(name: str, address: str, folder: Path) -> str:
    """Get one file, unpacked; its checksum."""
    path, known = folder / address.rpartition("/")[2], FILES[name][address]
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
        algorithm = known.partition(":")[0] if known else "sha256"
        found = f"{algorithm}:{checksum(path, algorithm)}"
        if known not in (None, found):
            raise RuntimeError(f"{path.name} has the checksum {found}, not {known}")
        unpack(path)
    except (*DOWNLOAD_ERRORS, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise InputError(
            f"{name} could not be downloaded from {address} ({' '.join(str(error).split())}); run again with a "
            f"network, or put the files, unpacked, in a folder and name it in config.yaml under data.sources.{name}"
        ) from None
    return found


def unpack(path: Path) -> None:
    """Unpack an archive beside itself, then remove it; other files stay as they are."""
    if path.suffix == ".tgz":
        with tarfile.open(path) as archive:
            archive.extractall(path.parent, filter="data")
        path.unlink()
    elif path.suffix == ".gz":
        with gzip.open(path) as packed, path.with_suffix("").open("wb") as file:
            shutil.copyfileobj(packed, file)
        path.unlink()

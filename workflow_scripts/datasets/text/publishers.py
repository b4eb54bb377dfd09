"""Registered text as its publishers give it: where it is, and what it must be where a checksum is published."""

import gzip
import shutil
import tarfile
import urllib.request
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.datasets.description import sha256
from workflow_scripts.datasets.publishers import DOWNLOAD_ERRORS, PATIENCE

_MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
# Addresses of each data set's files; those of SQuAD with the checksums that its users agree on.
FILES: dict[str, dict[str, str | None]] = {
    "iwslt14_de_en": {"https://wit3.fbk.eu/archive/2014-01/texts/de/en/de-en.tgz": None},
    "wmt14_en_de": {
        "http://statmt.org/wmt13/training-parallel-europarl-v7.tgz": None,
        "http://statmt.org/wmt13/training-parallel-commoncrawl.tgz": None,
        "http://data.statmt.org/wmt17/translation-task/training-parallel-nc-v12.tgz": None,
        "http://statmt.org/wmt14/test-full.tgz": None,
    },
    "multi30k_de_en": {
        f"{_MULTI30K}{stem}.{language}.gz": None
        for stem in ("train", "val", "test_2016_flickr")
        for language in ("de", "en")
    },
    "squad": {
        f"{_SQUAD}train-v1.1.json": "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
        f"{_SQUAD}dev-v1.1.json": "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
    },
}
FILES |= {"iwslt14_de_en_joined": FILES["iwslt14_de_en"]}
FILES |= dict.fromkeys(("multi30k_de_en_joined", "multi30k_en_de"), FILES["multi30k_de_en"])


def download(name: str, folder: Path) -> None:
    """Get a registered text data set into a folder, unpacked.

    Raises
    ------
    InputError : the publisher cannot be reached, or a file is damaged.
    """
    for address, digest in FILES[name].items():
        path = folder / address.rpartition("/")[2]
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer, path.open("wb") as file:
                shutil.copyfileobj(answer, file)
            if digest is not None and sha256(path) != digest:
                raise RuntimeError(f"{path.name} does not have the published checksum")
            unpack(path)
        except (*DOWNLOAD_ERRORS, tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
            raise InputError(
                f"{name} could not be downloaded from {address} ({' '.join(str(error).split())}); run again with a "
                f"network, or put the files, unpacked, in a folder and name it in config.yaml under data.sources.{name}"
            ) from None


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

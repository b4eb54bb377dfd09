"""Registered data sets as their publishers give them."""

import http.client
import socket
import ssl
import urllib.error
from pathlib import Path

import numpy as np

from workflow_scripts.base.errors import InputError

PUBLISHERS = {
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "fashion_mnist": "https://github.com/zalandoresearch/fashion-mnist",
    "digits": "scikit-learn's copy of the UCI optical recognition of handwritten digits",
}
PATIENCE = 60  # seconds without a byte

# What a missing network or a damaged download raises, and a full disk does not; torchvision raises RuntimeError for a
# wrong checksum.
DOWNLOAD_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    TimeoutError,
    ConnectionError,
    RuntimeError,
)


def fetch(name: str, scratch: Path) -> list[np.ndarray]:
    """Get a registered data set: images uint8 and integer labels, in the order of `arrays.ARRAYS`.

    Parameters
    ----------
    scratch : an empty directory for the download; nothing in it is needed afterwards.

    Raises
    ------
    InputError : the publisher cannot be reached, or the download does not have the published checksum.
    """
    return digits() if name == "digits" else download(name, scratch)


def download(name: str, scratch: Path) -> list[np.ndarray]:
    """Download by torchvision, which knows the addresses and checksums; see `fetch`."""
    from torchvision import datasets

    published = {"cifar10": datasets.CIFAR10, "fashion_mnist": datasets.FashionMNIST}[name]
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        splits = [published(scratch, train=train, download=True) for train in (True, False)]
    except DOWNLOAD_ERRORS as error:
        raise InputError(
            f"{name} could not be downloaded from its publisher ({' '.join(str(error).split())}); run again with a "
            f"network, or put its arrays in a directory and name it in config.yaml under data.sources.{name}"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)
    return [np.asarray(array) for split in splits for array in (split.data, split.targets)]


def digits() -> list[np.ndarray]:
    """Split scikit-learn's 1,797 digits: every fifth of each class, in their order, is a test image (360 of them).

    Ink of 0 .. 16 becomes 0 .. 255.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images, labels = np.rint(bundled.images * (255 / 16)).astype(np.uint8), bundled.target
    test = np.zeros(len(labels), dtype=bool)
    test[np.argsort(labels, kind="stable")[::5]] = True
    return [images[~test], labels[~test], images[test], labels[test]]

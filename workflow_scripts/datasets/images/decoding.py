"""From a picture's file to 8-bit red, green and blue. Nothing in the file is trusted."""

import numpy as np
from PIL import Image

from workflow_scripts.base.errors import InputError

LONGEST = 100  # times the shorter side: of a longer picture, resizing by the shorter side would fill the memory
UNKNOWN_RANGE = ("I", "F")  # Pillow's names of modes for 32-bit integers and floats
SIXTEEN_BITS = 65535
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFFs, and its value where 0 is white


def read_rgb(path: str) -> Image.Image:
    """The picture in 8-bit RGB, as torchvision's default loader gives it, but 16-bit grey is scaled and not clipped.

    Raises
    ------
    InputError : it cannot be decoded, has one side more than `LONGEST` times as long as the other, or has floats or
        32-bit integers, of which nobody knows what is white.
    """
    try:
        with Image.open(path) as opened:
            if max(opened.size) > LONGEST * min(opened.size):
                width, height = opened.size
                raise InputError(f"is {width} x {height} pixels, too long and thin to be resized; crop or remove it")
            opened.load()
            return as_rgb(opened)
    except InputError as error:
        raise InputError(f"{path} {error}") from None
    except Exception as error:  # a decoder that is given wrong bytes may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path} cannot be decoded ({reason}); copy it again, or remove it and prepare the data set again"
        ) from None


def as_rgb(picture: Image.Image) -> Image.Image:
    """The same picture in 8-bit RGB.

    Raises
    ------
    InputError : the end of a sentence, where the range of its values is not known.
    """
    # Pillow gives 16-bit PGM as 32-bit integers from 0 to 65535.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        values = np.asarray(picture) / SIXTEEN_BITS
        if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:  # which Pillow heeds of 8 bits alone
            values = 1 - values
        return Image.fromarray(np.rint(255 * values).astype(np.uint8)).convert("RGB")
    if picture.mode in UNKNOWN_RANGE:
        kind = "floats" if picture.mode == "F" else "32-bit integers"
        raise InputError(f"has {kind}, whose black and white nobody knows; save it with 8 or 16 bits")
    return picture.convert("RGB")

"""Open `.npy` files without reading or trusting them."""

from pathlib import Path

import numpy as np

from workflow_scripts.base.errors import InputError


def open_array(path: Path) -> np.ndarray:
    """Memory-map one `.npy` file read-only; nothing is ever unpickled.

    Raises
    ------
    InputError : the file is missing, is no `.npy` file, holds Python objects, or its size is not what its header says.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing")
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # a malformed header may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "Python objects" in reason:
            raise InputError(f"{path} holds pickled Python objects, which are never read; save plain numbers") from None
        if "mmap length" in reason:
            raise InputError(f"{path} is truncated: it is shorter than its own header says; copy it again") from None
        raise InputError(f"{path} cannot be read as a .npy array ({reason}); save it with numpy.save") from None
    surplus = path.stat().st_size - array.offset - array.nbytes
    if surplus > 0:
        raise InputError(f"{path} is {surplus} bytes longer than its own header says; copy it again")
    return array

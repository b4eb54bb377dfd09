"""How wide a layer is at a fraction of the paper's width."""


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded, and at least 4."""
    return max(4, round(channels * width))

"""Prepare one data set: download it or read a directory of arrays, check it, and write memory-mappable arrays."""

from pathlib import Path

from workflow_scripts.base.stage import command_line, run_stage
from workflow_scripts.datasets.derive import derive
from workflow_scripts.datasets.prepare import prepare
from workflow_scripts.datasets.registry import INFO
from workflow_scripts.datasets.text.settings import FORMS, TEXT


def main() -> None:
    parser = command_line("stages.prepare_data", __doc__)
    parser.add_argument("name", help=f"{', '.join([*INFO, *TEXT])}, another name together with --source, or --origin")
    parser.add_argument("--out", type=Path, required=True, help="directory to write, such as data/cifar10")
    parser.add_argument(
        "--source",
        help="directory with x_train.npy, y_train.npy, x_test.npy, y_test.npy and SHA256SUMS: a mirror or your own "
        "data (uint8 images (n, size, size[, channels]), integer labels from 0; dataset.yaml there may set "
        "crop_padding and flip), or text with a dataset.yaml that names its form; "
        "without it, or where it is empty, the publisher is asked",
    )
    parser.add_argument(
        "--origin", type=Path, help="the prepared data set that NAME, such as cifar10-16px-10000, is derived from"
    )
    parser.add_argument(
        "--vocabulary",
        type=Path,
        help="BERT checkpoint, or prepared text, whose word pieces questions or documents take",
    )
    arguments = parser.parse_args()
    if arguments.origin:
        info = derive(arguments.name, arguments.out, arguments.origin)
    else:
        info = prepare(arguments.name, arguments.out, arguments.source or None, arguments.vocabulary)
    print(f"{arguments.out}: {summary(info)}")


def summary(info) -> str:
    """What was prepared, in words."""
    if info.form in FORMS:
        counts = [
            f"{count} {what.replace('_', ' ')}" for what, count in info.counts["train"].items() if "unknown" not in what
        ]
        return f"training text of {', '.join(counts)}"
    return (
        f"{info.train} training and {info.test} test images of {info.classes} classes, "
        f"{info.image_size} × {info.image_size} × {info.channels}"
    )


if __name__ == "__main__":
    run_stage(main)

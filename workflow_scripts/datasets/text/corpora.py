"""Raw parallel text in files: those of a user's own, and those of the publishers with their tags."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.base.errors import InputError
from workflow_scripts.base.files import is_hidden
from workflow_scripts.datasets.text.lines import read_lines, together
from workflow_scripts.datasets.text.settings import SETTINGS, Parallel, TextInfo

SEGMENT = re.compile(r"<seg id=\"[0-9]*\">\s*|\s*</seg>\s*")
NO_TEXT = ("<url>", "<talkid>", "<keywords>")  # of a talk's description; its title and summary are text
TAGS = re.compile(r"</?(?:title|description)>")
TALKS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")


@dataclass(frozen=True)
class Corpus:
    """The files of each split, in both languages, one after the other.

    files : split → pairs of paths (source, target).
    """

    files: dict[str, list[tuple[Path, Path]]]

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """Raw lines of a split, side by side.

        Raises
        ------
        InputError : a file cannot be read, is not UTF-8, or has not as many lines as its counterpart.
        """
        for source, target in self.files[split]:
            yield from together(source, raw_lines(source), target, raw_lines(target))

    def place(self, split: str, number: int) -> str:
        """The file and line of a split's pair number 1, 2, ..., in words."""
        for source, target in self.files[split]:
            count = sum(1 for _ in raw_lines(source))
            if number <= count:
                return f"{source} and {target.name} line {number}"
            number -= count
        raise ValueError(f"{split} has no pair {number} more")


def raw_lines(path: Path) -> Iterator[str]:
    """The sentences of a file: the lines of plain text, or what its tags enclose."""
    if path.suffix in (".xml", ".sgm"):
        segments = (line for line in read_lines(path) if "<seg id" in line)
        yield from (SEGMENT.sub("", line).replace("’", "'") for line in segments)
    elif path.name.startswith("train.tags."):
        kept = (line for line in read_lines(path) if not any(tag in line for tag in NO_TEXT))
        yield from (TAGS.sub("", line) for line in kept)
    else:
        yield from read_lines(path)


def corpus(info: Parallel, folder: Path) -> Corpus:
    """The files of a data set in a folder, as its publisher or its user lays them out."""
    base = info.name.removesuffix("_joined")
    return Corpus({"iwslt14_de_en": iwslt, "wmt14_en_de": wmt}.get(base, plain)(info, folder))


def source_files(info: TextInfo, folder: Path) -> list[Path]:
    """The files of a text data set in a folder, with the settings of a user's own.

    Raises
    ------
    InputError : some are missing; all are named.
    """
    if info.form == "parallel":
        files = [path for pairs in corpus(info, folder).files.values() for pair in pairs for path in pair]
    elif info.form == "questions":
        files = [folder / info.train, folder / info.test]
    else:
        files = text_files(folder)
        if not files:
            raise InputError(f"{folder} has no .txt files; {info.name} is plain text")
    if missing := [path for path in files if not path.is_file()]:
        raise InputError.together(f"{folder} cannot be used as {info.name}", [f"{path} is missing" for path in missing])
    return files + [folder / SETTINGS] * (folder / SETTINGS).is_file()


def text_files(folder: Path) -> list[Path]:
    """The .txt files of a folder and of those below it, without what is hidden, in a fixed order."""
    return sorted(path for path in folder.rglob("*.txt") if not any(map(is_hidden, path.relative_to(folder).parts)))


def plain(info: Parallel, folder: Path) -> dict[str, list[tuple[Path, Path]]]:
    """<stem>.<language> for each split; no file for validation where a part of the training text is taken for it."""
    stems = {"train": info.train, "test": info.test}
    if not info.validation_every:
        stems["valid"] = info.valid
    return {
        split: [(folder / f"{stem}.{info.source}", folder / f"{stem}.{info.target}")] for split, stem in stems.items()
    }


def iwslt(info: Parallel, folder: Path) -> dict[str, list[tuple[Path, Path]]]:
    """IWSLT'14 as it is packed: tagged training text, and talks in XML of which five sets are the test."""
    place = folder / "de-en"
    talks = [tuple(place / f"IWSLT14.{talk}.de-en.{end}.xml" for end in (info.source, info.target)) for talk in TALKS]
    return {"train": [tuple(place / f"train.tags.de-en.{end}" for end in (info.source, info.target))], "test": talks}


def wmt(info: Parallel, folder: Path) -> dict[str, list[tuple[Path, Path]]]:
    """WMT'14: Europarl v7, Common Crawl and News Commentary v12, tested on newstest2014 (its whole 3,003 lines)."""
    stems = ("training/europarl-v7.de-en", "commoncrawl.de-en", "training/news-commentary-v12.de-en")
    ends = (info.source, info.target)
    test = zip(("src", "ref"), ends, strict=True)
    return {
        "train": [tuple(folder / f"{stem}.{end}" for end in ends) for stem in stems],
        "test": [tuple(folder / f"test-full/newstest2014-deen-{role}.{end}.sgm" for role, end in test)],
    }

"""WMT'14, IWSLT'14 and Multi30k as their publishers pack them, downloaded from a server and prepared whole."""

import functools
import gzip
import hashlib
import http.server
import io
import json
import re
import tarfile
import threading

import pytest
from sacremoses import MosesPunctNormalizer, MosesTokenizer

from workflow_scripts.datasets.text import publishers
from workflow_scripts.datasets.text.grammar.sentences import pairs

SAID = pairs(240, seed=3)
TALKS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """A server that stands for the publishers: `publisher(name, {file: content})` registers files of a data set."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()

        def register(name, files, checksums=None):
            addresses = {}
            for file, content in files.items():
                (folder / file).write_bytes(content)
                address = f"http://127.0.0.1:{server.server_port}/{file}"
                addresses[address] = (checksums or {}).get(file)
            monkeypatch.setitem(publishers.FILES, name, addresses)

        yield register
        server.shutdown()


def packed(files):
    """A .tgz of {path: text}."""
    packing = io.BytesIO()
    with tarfile.open(fileobj=packing, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            content = text.encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packing.getvalue()


def lines(said, language):
    return "".join(f"{getattr(pair, language)}\n" for pair in said)


def segments(said, language, apart=""):
    """Sentences in the tags of a test set."""
    body = "".join(f'<seg id="{n}">{apart}{getattr(pair, language)}{apart}</seg>\n' for n, pair in enumerate(said, 1))
    return f'<srcset setid="x" srclang="any">\n<doc docid="1">\n<p>\n{body}</p>\n</doc>\n</srcset>\n'


def iwslt():
    """The archive of IWSLT'14: 200 sentences under a title, and 8 in each test set."""
    files = {}
    for language in ("de", "en"):
        head = "<url>http://talk</url>\n<keywords>talks</keywords>\n<talkid>1</talkid>\n"
        head += f"<title>{TITLE[language]}</title>\n{UNLIKE[language]}\n"
        files[f"de-en/train.tags.de-en.{language}"] = head + lines(SAID[:200], language)
        for number, talk in enumerate(TALKS):
            said = SAID[200 + 8 * number : 208 + 8 * number]
            files[f"de-en/IWSLT14.{talk}.de-en.{language}.xml"] = segments(said, language, " ")
    return files


TITLE = {"de": "Der Titel", "en": "The Title"}
UNLIKE = {"de": "Ja.", "en": "Yes, that is how it was."}
WORDS = {language: MosesTokenizer(lang=language) for language in ("de", "en")}


def small_words(pair):
    """Words of a German and an English sentence, written small."""
    return tuple(WORDS[ln].tokenize(line, return_str=True).lower() for ln, line in zip(("de", "en"), pair, strict=True))


def like_length(pair):
    short, long = sorted(len(side.split()) for side in pair)
    return long <= 1.5 * short


def prepared(folder):
    """Split → pairs of lines of a prepared folder."""
    read = {
        split: [(folder / f"{split}.{side}.txt").read_text().splitlines() for side in ("source", "target")]
        for split in ("train", "valid", "test")
    }
    return {split: list(zip(*sides, strict=True)) for split, sides in read.items()}


def test_iwslt_is_prepared_as_its_script_does_it(publisher, tmp_path, stage):
    """Titles stay and talks' other tags go; pairs of unlike length go; every 23rd of those that stay validates."""
    publisher("iwslt14_de_en", {"de-en.tgz": packed(iwslt())})
    assert stage("prepare_data", "iwslt14_de_en", "--out", tmp_path / "out")[0] == 0
    training = [(TITLE["de"], TITLE["en"]), (UNLIKE["de"], UNLIKE["en"]), *((pair.de, pair.en) for pair in SAID[:200])]
    kept = [pair for pair in map(small_words, training) if like_length(pair)]
    assert len(kept) == len(training) - 1
    read = prepared(tmp_path / "out")
    assert read["valid"] == kept[22::23]
    assert read["train"] == [pair for number, pair in enumerate(kept, 1) if number % 23]
    assert read["test"] == [small_words((pair.de, pair.en)) for pair in SAID[200:]]


def test_a_mirror_gives_what_the_publisher_gives(publisher, tmp_path, stage):
    """Its folder has the publisher's files unpacked, which stay as they are."""
    publisher("iwslt14_de_en", {"de-en.tgz": packed(iwslt())})
    for path, text in iwslt().items():
        (tmp_path / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / path).write_text(text, encoding="utf-8")
    before = {path: path.read_bytes() for path in (tmp_path / "mirror").rglob("*.*")}
    sources = {"downloaded": (), "mirrored": ("--source", tmp_path / "mirror")}
    for out, source in sources.items():
        assert stage("prepare_data", "iwslt14_de_en", "--out", tmp_path / out, *source)[0] == 0
    assert (tmp_path / "downloaded" / "SHA256SUMS").read_text() == (tmp_path / "mirrored" / "SHA256SUMS").read_text()
    assert {path: path.read_bytes() for path in (tmp_path / "mirror").rglob("*.*")} == before
    (tmp_path / "mirror" / "de-en" / "train.tags.de-en.de").unlink()
    told, _ = stage("prepare_data", "iwslt14_de_en", "--out", tmp_path / "mirrored", *sources["mirrored"])
    assert "train.tags.de-en.de is missing" in told
    assert (tmp_path / "mirrored" / "SHA256SUMS").is_file()  # what was prepared before stays


def wmt():
    """The four archives of WMT'14, by their files: 120, 60 and 20 training sentences, and 40 to test."""
    cut = {"training/europarl-v7.de-en": SAID[:120], "commoncrawl.de-en": SAID[120:180]}
    cut["training/news-commentary-v12.de-en"] = SAID[180:200]
    packs = {
        f"{name}.tgz": packed({f"{stem}.{language}": lines(cut[stem], language) for language in ("de", "en")})
        for name, stem in zip(("europarl", "commoncrawl", "nc"), cut, strict=True)
    }
    test = {
        f"test-full/newstest2014-deen-{role}.{language}.sgm": segments(SAID[200:], language)
        for role, language in (("src", "en"), ("ref", "de"), ("src", "de"), ("ref", "en"))
    }
    return {**packs, "test-full.tgz": packed(test)}


def test_wmt_is_prepared_as_its_script_does_it(publisher, tmp_path, stage):
    """Its three corpora one after the other, punctuation made plain in training text alone, every 100th validates."""
    files = wmt()
    known = {file: f"md5:{hashlib.md5(content).hexdigest()}" for file, content in files.items()}
    publisher("wmt14_en_de", files, known)
    assert stage("prepare_data", "wmt14_en_de", "--out", tmp_path / "out")[0] == 0
    normal = {language: MosesPunctNormalizer(lang=language, perl_parity=True).normalize for language in ("de", "en")}

    def words(line, language, training):
        line = normal[language](line) if training else line
        return WORDS[language].tokenize(line, aggressive_dash_splits=True, return_str=True)

    training = [(words(pair.en, "en", True), words(pair.de, "de", True)) for pair in SAID[:200]]
    read = prepared(tmp_path / "out")
    assert read["test"] == [(words(pair.en, "en", False), words(pair.de, "de", False)) for pair in SAID[200:]]
    assert read["valid"] == training[99::100]
    assert set(read["train"]) <= set(training) and len(read["train"]) > 150
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert all(checksum in described["source"] for checksum in known.values())


def multi30k():
    cut = {"train": SAID[:200], "val": SAID[200:220], "test_2016_flickr": SAID[220:]}
    return {
        f"{stem}.{language}.gz": gzip.compress(lines(said, language).encode())
        for stem, said in cut.items()
        for language in ("de", "en")
    }


def test_multi30k_is_downloaded_and_what_came_is_recorded(publisher, tmp_path, stage):
    files = multi30k()
    publisher("multi30k_de_en", files)
    assert stage("prepare_data", "multi30k_de_en", "--out", tmp_path / "out")[0] == 0
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert {split: count["pairs"] for split, count in described["counts"].items()} == {
        "train": 200,
        "valid": 20,
        "test": 20,
    }
    for file, content in files.items():
        assert f"{file} (sha256:{hashlib.sha256(content).hexdigest()})" in described["source"]


def cut_short(files, file):
    return {**files, file: files[file][: len(files[file]) // 2]}


def without(files, part):
    return {path: text for path, text in files.items() if part not in path}


# Fault → the data set, its files, known checksums, and what is said.
FAULTS = {
    "cut short": ("multi30k_de_en", lambda: cut_short(multi30k(), "val.en.gz"), {}, r"val\.en\.gz"),
    "an archive cut short": ("wmt14_en_de", lambda: cut_short(wmt(), "commoncrawl.tgz"), {}, r"commoncrawl\.tgz"),
    "a page in its place": ("iwslt14_de_en", lambda: {"de-en.tgz": b"<html>moved</html>"}, {}, r"de-en\.tgz"),
    "a file is missing": (
        "iwslt14_de_en",
        lambda: {"de-en.tgz": packed(without(iwslt(), "tst2011"))},
        {},
        r"IWSLT14\.TED\.tst2011\.de-en\.de\.xml is missing",
    ),
    "other bytes": (
        "wmt14_en_de",
        wmt,
        {"nc.tgz": f"sha256:{0:064}"},
        r"nc\.tgz has the checksum sha256:[0-9a-f]{64}, not sha256:0{64}",
    ),
}


@pytest.mark.parametrize(("name", "files", "checksums", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_damaged_download_is_told_and_nothing_is_left(name, files, checksums, sentence, publisher, tmp_path, stage):
    publisher(name, files(), checksums)
    told, _ = stage("prepare_data", name, "--out", tmp_path / "out")
    assert isinstance(told, str) and re.search(sentence, told) and name in told
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))

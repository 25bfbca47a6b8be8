import csv
import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from factcheck import pictures
from factcheck.datasets import hydrate as module
from factcheck.datasets import read_factify2
from factcheck.datasets.fetch import FetchSettings
from factcheck.datasets.hydrate import hydrate
from factcheck.errors import InvalidInputError, MissingResourceError, RunError
from factcheck.pictures import decode
from tests.datasets.misbehaving_server import MisbehavingServer, picture

QUICK = FetchSettings(
    pause=0.0, per_host=8, allow_private=True, read_timeout=3.0, time_limit=6.0, backoff=0.01
)
LABELS = ("Support_Text", "Refute", "Insufficient_Text")


@pytest.fixture
def server(monkeypatch):
    # Reading the certificates of this machine takes longer than most of the tests.
    monkeypatch.setenv("SSL_CERT_DIR", os.devnull)
    with MisbehavingServer() as running:
        yield running


@pytest.fixture
def table(tmp_path, server):
    """Writes a split: a pair of paths on the server, or None, for each row."""

    def write(rows, split="train", labels=LABELS):
        with (tmp_path / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(("", "claim", "claim_image", "document", "document_image", "Category"))
            for index, row in enumerate(rows):
                claim, document = ("" if path is None else server.url(path) for path in row)
                label = labels[index % len(labels)] if labels else ""
                writer.writerow((index, "A claim.", claim, "A document.", document, label))
        return tmp_path

    return write


def files(folder: Path) -> dict[str, bytes]:
    """All files but the tables."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".csv"
    }


def journal(folder: Path, server: MisbehavingServer, split: str = "train"):
    lines = (folder / f"hydrate-{split}.jsonl").read_text().splitlines()
    found = map(json.loads, lines)
    return {
        failure["url"].removeprefix(server.url("")): (failure["reason"], failure["status"])
        for failure in found
    }


def test_pictures_lie_where_the_reader_finds_them_and_no_path_tells_a_label(table):
    folder = table([("/good/0", "/good/1"), ("/good/2", None)])
    hydrated = hydrate(folder, (), QUICK)
    assert files(folder) == {
        "images-train/claim/0.jpg": picture(0),
        "images-train/claim/1.jpg": picture(2),
        "images-train/document/0.jpg": picture(1),
    }
    first, second = read_factify2(folder, "train")
    assert first.document.image == folder / "images-train/document/0.jpg"
    assert (second.claim.image is None, second.document.image is None) == (False, True)
    assert hydrated.splits == {"train": {"present": 0, "fetched": 3, "failed": 0, "without_url": 1}}


def test_a_picture_has_the_suffix_of_its_format_or_becomes_a_png(table):
    kinds = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"} | dict.fromkeys(
        ("GIF", "BMP", "TIFF"), "png"
    )
    folder = table([(f"/kind/{kind}", None) for kind in kinds])
    hydrate(folder, (), QUICK)
    for index, (row, (kind, suffix)) in enumerate(
        zip(read_factify2(folder, "train"), kinds.items(), strict=True)
    ):
        assert row.claim.image == folder / "images-train" / "claim" / f"{index}.{suffix}"
        stored = row.claim.image.read_bytes()
        assert (stored == picture(0, kind)) == (kind not in ("GIF", "BMP", "TIFF"))
        assert decode(stored, kind).tobytes() == decode(picture(0, kind), kind).tobytes()


def test_what_is_no_picture_leaves_nothing_but_a_line(table, server):
    folder = table(
        [
            ("/html", "/html-as-jpeg"),
            ("/empty", "/truncated-unsaid"),
            ("/short-length", "/truncated"),
        ]
    )
    hydrated = hydrate(folder, (), QUICK)
    assert list(files(folder)) == ["hydrate-train.jsonl"]
    assert journal(folder, server) == {
        "/html": ("not an image", None),
        "/html-as-jpeg": ("not an image", None),
        "/empty": ("not an image", None),
        "/truncated-unsaid": ("damaged image", None),
        "/short-length": ("damaged image", None),
        "/truncated": ("connection broke", None),
    }
    assert hydrated.reasons == {"not an image": 3, "damaged image": 2, "connection broke": 1}


def test_a_picture_of_too_many_pixels_is_too_large(table, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    folder = table([("/good/0", None)])
    assert hydrate(folder, (), QUICK).reasons == {"too large": 1}
    assert not (folder / "images-train").exists()


def test_a_second_run_fetches_what_is_missing_and_may_be_there_now(table, server):
    rows = [("/good/0", "/status/404"), ("/twice/403", "/html"), ("/status/500", "/status/410")]
    folder = table(rows)
    hydrate(folder, (), QUICK)
    assert journal(folder, server) == {
        "/status/404": ("gone", 404),
        "/twice/403": ("refused by the server", 403),
        "/html": ("not an image", None),
        "/status/500": ("server error", 500),
        "/status/410": ("gone", 410),
    }
    server.hits.clear()
    server.hits["/twice/403"] = 2
    told = []
    hydrated = hydrate(folder, (), QUICK, on_progress=lambda *some: told.append(some))
    assert told == [(1, 2), (2, 2)]
    assert server.hits == {"/twice/403": 3, "/status/500": 3}
    assert hydrated.splits["train"] == {"present": 1, "fetched": 1, "failed": 4, "without_url": 0}
    assert hydrated.reasons == {"gone": 2, "not an image": 1, "server error": 1}
    assert "/twice/403" not in journal(folder, server)

    server.hits.clear()
    hydrate(folder, (), QUICK, retry=True)
    assert server.hits == {"/status/404": 1, "/html": 1, "/status/500": 3, "/status/410": 1}

    table([("/good/0", "/good/1"), ("/twice/403", "/good/3"), ("/good/4", "/good/5")])
    assert hydrate(folder, (), QUICK).total("failed") == 0
    assert not (folder / "hydrate-train.jsonl").exists()


def test_an_address_that_was_refused_is_fetched_once_it_is_allowed(table, server):
    folder = table([("/good/0", None)])
    careful = replace(QUICK, allow_private=False)
    for _ in range(2):
        assert hydrate(folder, (), careful).reasons == {"address refused": 1}
    assert not server.hits
    assert hydrate(folder, (), QUICK).total("fetched") == 1


def test_a_url_that_several_rows_have_is_fetched_once(table, server):
    table([("/good/0", "/good/0"), ("/status/404", "/good/0")])
    folder = table([("/good/0", "/status/404")], "val")
    table([("/good/1", "/status/410")], "test")
    hydrated = hydrate(folder, (), QUICK)
    assert server.hits == {"/good/0": 1, "/good/1": 1, "/status/404": 1, "/status/410": 1}
    assert len(files(folder)) == 5 + 3
    assert set(map(len, files(folder / "images-train").values())) == {len(picture(0))}
    assert hydrated.splits["train"]["fetched"] == 3
    assert hydrated.splits["val"] == {"present": 0, "fetched": 1, "failed": 1, "without_url": 0}
    assert (
        journal(folder, server, "val") == journal(folder, server) == {"/status/404": ("gone", 404)}
    )


def test_pictures_that_are_there_in_any_layout_are_left_alone(table, server):
    folder = table([("/good/0", "/good/1")])
    place = folder / "images-train" / "claim" / "Support_Text" / "0.png"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    hydrated = hydrate(folder, (), QUICK)
    assert server.hits == {"/good/1": 1}
    assert place.read_bytes() == b"mine"
    assert hydrated.splits["train"] == {"present": 1, "fetched": 1, "failed": 0, "without_url": 0}


def test_only_the_splits_that_are_named(table, server):
    table([("/good/0", None)])
    folder = table([("/good/1", None)], "val")
    hydrated = hydrate(folder, ["val", "val"], QUICK)
    assert hydrated.splits == {"val": {"present": 0, "fetched": 1, "failed": 0, "without_url": 1}}
    assert server.hits == {"/good/1": 1}


def test_the_report_counts_by_label_and_side(table):
    table([("/status/404", "/good/1"), ("/status/404", "/html"), (None, "/good/2")])
    folder = table([("/good/3", "/status/500")], "test", labels=())
    hydrated = hydrate(folder, (), QUICK)
    assert hydrated.labels["failed"] == {
        "Support_Text": {"claim": 1, "document": 0},
        "Insufficient_Text": {"claim": 0, "document": 0},
        "Refute": {"claim": 1, "document": 1},
        "unlabelled": {"claim": 0, "document": 1},
    }
    assert hydrated.labels["fetched"]["unlabelled"] == {"claim": 1, "document": 0}
    assert hydrated.labels["without_url"]["Insufficient_Text"] == {"claim": 1, "document": 0}
    assert hydrated.reasons == {"gone": 2, "not an image": 1, "server error": 1}
    plain = hydrated.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    counts = (plain["present"], plain["fetched"], plain["failed"], plain["without_url"])
    assert counts == (0, 3, 4, 1)


def test_an_interruption_leaves_whole_pictures_and_the_next_run_goes_on(table, server):
    rows = [(f"/lingering/{i}", "/status/404" if i == 0 else None) for i in range(12)]
    folder = table(rows)

    def interrupt(done, _):
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        hydrate(folder, (), replace(QUICK, per_host=3), on_progress=interrupt)
    assert journal(folder, server) == {"/status/404": ("gone", 404)}
    left = files(folder / "images-train")
    assert 3 <= len(left) < 12
    assert all(data == picture(int(Path(name).stem)) for name, data in left.items())

    server.hits.clear()
    assert hydrate(folder, (), QUICK).total("fetched") == 12 - len(left)
    assert server.hits.total() == 12 - len(left)


def test_failures_are_on_disk_before_all_is_done(table, server, monkeypatch):
    monkeypatch.setattr(module, "_SAVE_EVERY", 2)
    folder = table([(f"/status/404?{i}", None) for i in range(5)])
    seen = []
    path = folder / "hydrate-train.jsonl"

    def look(_, __):
        seen.append(len(path.read_text().splitlines()) if path.exists() else 0)

    hydrate(folder, (), replace(QUICK, per_host=1), on_progress=look)
    assert seen == [0, 2, 2, 4, 4]
    assert len(path.read_text().splitlines()) == 5


def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing_half_written(table, monkeypatch):
    folder = table([(f"/good/{i}", None) for i in range(4)])

    def fill(path, data):
        path.write_bytes(data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_new", fill)
        with pytest.raises(RunError, match=r"\d\.jpg: cannot be written \(No space left on devic"):
            hydrate(folder, (), QUICK)
    assert files(folder) == {}
    assert hydrate(folder, (), QUICK).total("fetched") == 4


def test_a_folder_that_cannot_be_made_is_named(table):
    folder = table([("/good/0", None)])
    (folder / "images-train").write_text("a file")
    with pytest.raises(RunError, match=r"claim/0\.jpg: cannot be written"):
        hydrate(folder, (), QUICK)


def test_what_a_killed_process_left_is_no_picture_and_is_written_over(table):
    folder = table([("/good/0", None)])
    half = folder / "images-train" / "claim" / ".0.part"
    half.parent.mkdir(parents=True)
    half.write_bytes(picture(0)[:100])
    assert hydrate(folder, (), QUICK).total("fetched") == 1
    assert files(folder) == {"images-train/claim/0.jpg": picture(0)}


def test_a_link_under_the_temporary_name_is_not_written_through(table, tmp_path_factory):
    folder = table([("/good/0", None)])
    outside = tmp_path_factory.mktemp("outside") / "precious.txt"
    outside.write_text("precious")
    place = folder / "images-train" / "claim"
    place.mkdir(parents=True)
    (place / ".0.part").symlink_to(outside)
    assert hydrate(folder, (), QUICK).total("fetched") == 1
    assert outside.read_text() == "precious"
    assert not (place / "0.jpg").is_symlink()
    assert files(folder) == {"images-train/claim/0.jpg": picture(0)}


@pytest.mark.parametrize("name", ["images-train", "images-train/claim"])
def test_a_folder_that_leads_out_of_the_data_set_is_refused(table, server, tmp_path_factory, name):
    folder = table([("/good/0", None)])
    outside = tmp_path_factory.mktemp("outside")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(InvalidInputError, match=r"images-train/claim: a link that leads out of"):
        hydrate(folder, (), QUICK)
    assert not server.hits
    assert list(outside.iterdir()) == []


def test_a_folder_may_be_linked_within_the_data_set(table):
    folder = table([("/good/0", None)])
    (folder / "pictures").mkdir()
    (folder / "images-train").symlink_to("pictures")
    assert hydrate(folder, (), QUICK).total("fetched") == 1
    assert (folder / "pictures" / "claim" / "0.jpg").read_bytes() == picture(0)


def test_an_empty_file_or_a_link_to_nothing_is_no_picture(table):
    folder = table([("/good/0", "/good/1"), ("/good/2", None)])
    claims, documents = (folder / "images-train" / side for side in ("claim", "document"))
    claims.mkdir(parents=True)
    documents.mkdir()
    (claims / "0.webp").touch()
    (claims / "2.jpg").write_bytes(b"of no row")
    (claims / "1.jpg").symlink_to("nowhere.jpg")
    (documents / "0.png").symlink_to("nowhere.png")
    hydrated = hydrate(folder, (), QUICK)
    assert hydrated.splits["train"] == {"present": 0, "fetched": 3, "failed": 0, "without_url": 1}
    assert files(folder) == {
        "images-train/claim/0.jpg": picture(0),
        "images-train/claim/1.jpg": picture(2),
        "images-train/claim/2.jpg": b"of no row",
        "images-train/document/0.jpg": picture(1),
    }
    assert not (documents / "0.png").is_symlink()
    assert hydrate(folder, (), QUICK).total("present") == 3


def test_a_host_that_sends_for_ever_is_left_alone(table, server):
    folder = table([(f"/drip?{i}", None) for i in range(20)])
    impatient = replace(QUICK, per_host=1, read_timeout=0.15, time_limit=0.2)
    assert hydrate(folder, (), impatient).reasons == {"too slow": 20}
    assert server.hits == {"/drip": 5}


def test_a_host_that_does_not_answer_is_left_alone(table, server):
    folder = table([(f"/status/429?{i}", None) for i in range(20)] + [("/good/1", None)])
    hydrated = hydrate(folder, (), replace(QUICK, per_host=1, attempts=1))
    assert server.hits == {"/status/429": 5}
    assert hydrated.reasons == {"too many requests": 21}
    server.hits.clear()
    rows = [("/good/1", None) if i % 4 == 3 else (f"/status/429?{i}", None) for i in range(20)]
    table(rows)
    hydrate(folder, (), replace(QUICK, per_host=1, attempts=1))
    assert server.hits["/status/429"] > 5


def test_urls_that_are_none_count_as_failed(table, server, tmp_path):
    folder = table([("/good/0", "/good/1")])
    text = (folder / "train.csv").read_text()
    text = text.replace(server.url("/good/0"), "not a URL").replace("http:", "ftp:")
    (folder / "train.csv").write_text(text)
    assert hydrate(folder, (), QUICK).reasons == {"unusable URL": 2}


def test_a_folder_without_urls_needs_nothing(tmp_path):
    (tmp_path / "test.csv").write_text("claim\tdocument\nC\tD\n")
    hydrated = hydrate(tmp_path, (), QUICK)
    assert hydrated.splits["test"] == {"present": 0, "fetched": 0, "failed": 0, "without_url": 2}
    assert list(tmp_path.iterdir()) == [tmp_path / "test.csv"]


def test_wrong_folders_and_journals_are_named(table, tmp_path):
    with pytest.raises(MissingResourceError, match="no CSV file with a claim and a document colum"):
        hydrate(tmp_path, (), QUICK)
    folder = table([("/good/0", None)])
    with pytest.raises(MissingResourceError, match=r"val\.csv: no such split"):
        hydrate(folder, ["val"], QUICK)
    path = folder / "hydrate-train.jsonl"
    path.write_text('{"url": "http://x/", "reason": "bad luck"}\n')
    with pytest.raises(InvalidInputError, match=r"hydrate-train\.jsonl, line 1: 'reason'"):
        hydrate(folder, (), QUICK)
    assert path.exists()

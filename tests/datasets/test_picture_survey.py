import hashlib
import sqlite3
from contextlib import closing

import pytest
from conftest import save_photograph
from PIL import Image

from factcheck.datasets.picture_survey import survey_pictures
from factcheck.errors import InvalidInputError, RunError


def test_good_broken_and_plain_pictures(tmp_path):
    good = save_photograph(tmp_path / "good.jpg", seed=0)
    plain, short, text = (tmp_path / name for name in ("plain.png", "short.jpg", "text.png"))
    Image.new("RGB", (50, 50), "red").save(plain)
    short.write_bytes(good.read_bytes()[:-1000])
    text.write_text("no picture")
    gone = tmp_path / "gone.jpg"
    facts = survey_pictures([good, plain, short, text, gone], tmp_path / "out" / "survey.sqlite")
    assert facts[good].sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    assert facts[good].problem is None
    assert 0 <= facts[good].fingerprint < 2**64
    assert (facts[plain].problem, facts[plain].fingerprint) == (None, None)
    for path, reason in ((short, "truncated"), (text, "not an image"), (gone, "cannot be read")):
        assert reason in facts[path].problem
        assert str(path) in facts[path].problem
        assert facts[path].fingerprint is None
    assert facts[gone].sha256 is None
    assert facts[text].sha256 is not None


def test_what_is_known_is_not_read_again_unless_it_changed(tmp_path):
    import os

    paths = [save_photograph(tmp_path / f"{i}.jpg", seed=i) for i in range(3)]
    journal = tmp_path / "survey.sqlite"
    before = survey_pictures(paths[:2], journal)
    for path in paths[:2]:
        stamp = path.stat()
        path.write_bytes(b"x" * stamp.st_size)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    # Same size and time: what the journal says is taken. The third is new.
    after = survey_pictures(paths, journal)
    assert {path: after[path] for path in paths[:2]} == before
    assert after[paths[2]].problem is None
    os.utime(paths[0], ns=(0, 0))
    assert "not an image" in survey_pictures(paths, journal)[paths[0]].problem


def test_progress_counts_every_picture(tmp_path):
    paths = [save_photograph(tmp_path / f"{i}.png", seed=i, size=(16, 16)) for i in range(5)]
    done = []
    survey_pictures(paths, tmp_path / "survey.sqlite", done.append)
    survey_pictures(paths, tmp_path / "survey.sqlite", done.append)
    assert sum(done) == 10


def test_a_journal_that_is_none_or_cannot_be_made_is_named(tmp_path):
    (tmp_path / "survey.sqlite").write_text("nothing of the kind " * 100)
    with pytest.raises(InvalidInputError, match=r"survey\.sqlite: not a survey of pictures"):
        survey_pictures([], tmp_path / "survey.sqlite")
    with pytest.raises(RunError, match="cannot be written"):
        survey_pictures([], tmp_path / "survey.sqlite" / "below.sqlite")


def test_a_journal_with_other_tables_or_damage_is_named(tmp_path):
    picture = save_photograph(tmp_path / "0.jpg", seed=0)
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE pictures (path TEXT)")
    with pytest.raises(InvalidInputError, match=r"other\.sqlite: not a survey of pictures"):
        survey_pictures([picture], other)
    damaged = tmp_path / "damaged.sqlite"
    survey_pictures([picture], damaged)
    data = bytearray(damaged.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    damaged.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"damaged\.sqlite: not a survey of pictures, or d"):
        survey_pictures([picture], damaged)


def test_a_fingerprint_that_is_none_is_made_anew(tmp_path):
    picture, journal = save_photograph(tmp_path / "0.jpg", seed=0), tmp_path / "survey.sqlite"
    before = survey_pictures([picture], journal)
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE pictures SET fingerprint = 'none'")
    assert survey_pictures([picture], journal) == before

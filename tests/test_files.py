import os
import stat

import pytest

from factcheck.errors import RunError
from factcheck.files import require_writable, write_new, write_whole


def test_a_file_is_written_with_the_permissions_of_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new" / "a.txt", ["é", "b\n"])
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "éb\n"
    assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) == 0o640


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def parts():
        yield "half"
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        write_whole(path, parts())
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_files_place_leaves_no_temporary_file(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(RunError, match=r"a\.txt: cannot be written"):
        write_whole(tmp_path / "a.txt", ["x"])
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def test_a_new_file_is_not_written_through_a_link(tmp_path):
    (tmp_path / "other").write_text("before")
    (tmp_path / "a").symlink_to("other")
    write_new(tmp_path / "a", b"after")
    assert (tmp_path / "other").read_text() == "before"
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"after"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"a\.txt: cannot be written"):
        write_whole(tmp_path / "file" / "a.txt", [""])


def test_a_place_is_told_to_be_writable_before_anything_is_written(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file", tmp_path / "new", tmp_path / "new" / "deep" / "a"):
        require_writable(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(RunError, match=r"file/a/b: cannot be written \(.*file is no folder\)"):
        require_writable(tmp_path / "file" / "a" / "b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told_before_anything_is_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match=r"new/a: cannot be written \(nothing can be written in "):
        require_writable(tmp_path / "new" / "a")

"""What is written, whatever it holds and wherever it goes."""

import io
import json

import pytest

from factcheck.cli.output import Report, visible

HOSTILE = "a\x9b31mb\u202ec\x7fd\x1be\U000e0041f\udce9g\u200bh\u00a0i\nj\u2066k"


def test_json_holds_nothing_that_a_terminal_would_obey(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    report = Report("check", as_json=True)
    plain = "caf\xe9, \u5f57\u661f, \U0001f680"
    report.finish({"hostile": HOSTILE, "plain": plain})
    out = capfdbinary.readouterr().out.decode()
    assert all(character.isprintable() or character == "\n" for character in out)
    assert plain in out
    for spelt in ("\\u009b", "\\u202e", "\\u007f", "\\u001b", "\\udb40\\udc41", "\\udce9"):
        assert spelt in out
    assert json.loads(out)["result"] == {"hostile": HOSTILE, "plain": plain}


def test_what_is_visible() -> None:
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert visible(f"{persian} {family}") == f"{persian} {family}"
    assert visible("\ufeffso\u00adft\u200b \u200eand\u200f so on") == "soft and so on"
    assert (
        visible("a\u202eb\u2066c\x1bd\x7fe\x9bf\udce9g")
        == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg"
    )
    assert visible(" two\nlines\u200b\n") == "two lines"


def test_what_an_encoding_does_not_have_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    report = Report("compare", as_json=False)
    report.show(lambda console: console.print("The caf\xe9 closed."))
    assert written.getvalue() == b"The caf? closed.\n"

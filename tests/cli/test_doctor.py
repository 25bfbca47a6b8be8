"""`factcheck data doctor`."""

import json


def test_a_person_sees_the_splits(command, factify2, tmp_path):
    outcome = command("data", "doctor", factify2, "--out", tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "test"
    assert "  rows                  5" in lines
    assert "  claim pictures        found 1, missing 4" in lines
    assert any(
        line.startswith("  of hidden in test: claims 5, 5, documents 5, 5") for line in lines
    )
    assert lines[-1].startswith("data ")


def test_the_envelope_is_the_manifest(command, factify2, tmp_path):
    outcome = command("data", "doctor", factify2, "--out", tmp_path, "--split", "test", "--json")
    assert outcome.code == 0
    assert outcome.envelope["result"] == json.loads((tmp_path / "doctor.json").read_text())
    assert list(outcome.envelope["result"]["splits"]) == ["test"]


def test_data_that_cannot_be_used_end_in_exit_code_5(command, tmp_path):
    (tmp_path / "val.csv").write_text("claim\tdocument\tCategory\nC\tD\tRefute\nC\t\tRefute\n")
    outcome = command("data", "doctor", tmp_path)
    assert outcome.code == 5
    assert (
        outcome.err == f"factcheck: {tmp_path}: cannot be used as it is, 1 problem in its tables\n"
    )
    assert "val.csv, row 1: the document text is empty" in outcome.out


def test_a_terminal_is_told_nothing_that_it_would_obey(command, tmp_path):
    (tmp_path / "val.csv").write_text(
        "claim\tclaim_image\tdocument\nC\thttp://a\x1b[31mb.example/x\tD\n"
    )
    outcome = command("data", "doctor", tmp_path)
    assert outcome.code == 0
    assert "\x1b" not in outcome.out


def test_a_folder_that_is_not_there_is_named(command, tmp_path):
    outcome = command("data", "doctor", tmp_path / "nowhere")
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err == f"factcheck: {tmp_path / 'nowhere'}: no such folder\n"

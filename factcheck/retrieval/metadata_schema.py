"""The SQLite file of a part of an index: its tables, and what their columns may hold."""

# STRICT makes SQLite's own check refuse a value of another type. Rows count from 0: the row of a
# passage or picture is its row in the vector file.
SCHEMA = (
    """CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    title TEXT,
    url TEXT,
    date TEXT,
    ocr TEXT,
    host TEXT,
    digest BLOB NOT NULL,
    sketch BLOB NOT NULL
) STRICT""",
    "CREATE INDEX documents_by_date ON documents (date)",
    "CREATE INDEX documents_by_host ON documents (host)",
    """CREATE TABLE images (
    row INTEGER PRIMARY KEY,
    document INTEGER NOT NULL UNIQUE,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    fingerprint TEXT
) STRICT""",
    """CREATE TABLE passages (
    row INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL
) STRICT""",
)

DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
"""What a date looks like, as SQLite's GLOB."""

SKETCH_BYTES = (0, 256)
"""Lengths of what `distinct.sketch` makes: of a text of a few words, and of any other."""

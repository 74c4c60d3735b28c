"""Tables and the paths in them: engineering.md 4.3, cases 25 and 26."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet_shared.errors import DataError
from quartet_shared.io.tables import read_table, safe_relative_path


def saved(folder: Path, content: bytes | str) -> Path:
    path = folder / "cases.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_byte_order_mark_crlf_and_blank_lines_are_accepted(tmp_path: Path) -> None:
    path = saved(tmp_path, b"\xef\xbb\xbfid, mask\r\na,1\r\n\r\nb,2\r\n")
    assert read_table(path, required=["id", "mask"], key="id") == [
        {"id": "a", "mask": "1"},
        {"id": "b", "mask": "2"},
    ]


def test_quoted_fields_may_hold_commas_lines_and_quotes(tmp_path: Path) -> None:
    assert read_table(saved(tmp_path, 'id,text\n1,"a, ""b""\nc"\n')) == [{"id": "1", "text": 'a, "b"\nc'}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1 has nothing"),
        ("id,x\na,\0\n", "line 2 has a NUL character"),
        ('id,x\na,1\nb,"open\nc,3\n', "the record from line 3 is damaged"),
        ('id,x\na,"1"2\n', "the record from line 2 is damaged"),
        ("id,x\na,1\nb\n", "line 3 has 1 fields, the header has 2"),
        ("id,x\na,1,2\n", "line 2 has 3 fields, the header has 2"),
        ("id,x\na,1\nb,2\na ,3\n", "line 4 repeats the id of line 2"),
        ("id,x\n ,1\n", "line 2 has no id"),
        ("id,y\na,1\n", "no column x; line 1 has id, y"),
        ("id,x,x\na,1,2\n", "line 1 must name every column, each once"),
        ("id,x,\na,1,2\n", "line 1 must name every column, each once"),
        (b"id,x\n\xff\xfe,1\n", "not UTF-8 text, at or after line 1"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(DataError, match=f"^cases.csv: .*{message}"):
        read_table(saved(tmp_path, content), required=["id", "x"], key="id")


def test_messages_show_no_values(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3 repeats") as err:
        read_table(saved(tmp_path, "id\nJANE_DOE\nJANE_DOE\n"), key="id")
    assert "JANE" not in str(err.value)


@pytest.mark.parametrize("start", ["", '"'])
def test_giant_field_is_refused_with_little_memory(tmp_path: Path, start: str) -> None:
    path = tmp_path / "cases.csv"
    with path.open("w") as file:
        file.write(f"id,x\na,{start}")
        for _ in range(64):
            file.write("x" * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="line 2 has more than 1048576 characters"):
            read_table(path)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()


def test_open_quote_does_not_swallow_the_rest_of_a_large_table(tmp_path: Path) -> None:
    rows = "".join(f"{i},x\n" for i in range(100_000))
    with pytest.raises(DataError, match="the record from line 2 is damaged"):
        read_table(saved(tmp_path, 'id,x\n"0,x\n' + rows))


def test_missing_table_is_a_data_error_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^cases\.csv: cannot be read \(No such file"):
        read_table(tmp_path / "JANE_DOE" / "cases.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_data_error(folder: Path, content: bytes) -> None:
    try:
        rows = read_table(saved(folder, content), key="id")
    except DataError:
        return
    assert all("id" in row for row in rows)


# csv writes a lone NUL or surrogate that no UTF-8 table can hold; both are refused elsewhere
fields = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(rows=st.lists(st.tuples(st.integers(), fields), min_size=1, max_size=8))
def test_what_csv_writes_is_read_back(folder: Path, rows: list[tuple[int, str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("n", "text"), *rows])
    expected = [{"n": str(n), "text": text} for n, text in rows]
    assert read_table(saved(folder, buffer.getvalue())) == expected


@pytest.mark.parametrize("text", ["a.png", "images/a.png", "./a b/ü.png", "..a/b..", "a//b"])
def test_paths_inside_the_root_are_kept(tmp_path: Path, text: str) -> None:
    assert safe_relative_path(tmp_path, text) == tmp_path / text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "../x",
        "a/../../x",
        "a/..",
        "/etc/passwd",
        "//host/x",
        "C:\\x",
        "C:x",
        "a\\..\\x",
        "a\0b",
    ],
)
def test_paths_that_may_leave_the_root_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="expected a relative path"):
        safe_relative_path(tmp_path, text)


def test_symbolic_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root)
    with pytest.raises(DataError, match=r"'x\.png': a symbolic link leads out of the data folder"):
        safe_relative_path(root, "out/x.png")
    assert safe_relative_path(root, "in/x.png") == root / "in" / "x.png"


def test_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="loops of links"):
        safe_relative_path(tmp_path, "a")


@given(text=st.text(max_size=40))
def test_any_text_is_inside_or_refused(folder: Path, text: str) -> None:
    try:
        path = safe_relative_path(folder, text)
    except DataError:
        return
    assert path.resolve().is_relative_to(folder.resolve())


def test_a_gzipped_table_and_other_delimiters_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv.gz"
    path.write_bytes(gzip.compress(b"a;b\n1;2\n"))
    assert read_table(path, required=["a"], delimiter=";") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"a,b\n" * 500)[:-9]], ids=["text", "truncated"])
def test_a_damaged_gzip_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cases.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cases\.csv\.gz: a damaged gzip"):
        read_table(path)

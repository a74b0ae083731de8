"""Files that break readers, where they are at hand: each is read right or refused in words."""

import time
from pathlib import Path

import pytest

from fgdesign.data import load_dataset, read_table, split
from fgdesign.errors import DataError, FgdesignError

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "nasty_csv"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())

pytestmark = pytest.mark.skipif(not FILES, reason="the files are not here")

READ = [  # file, encoding, delimiter, rows, columns, first row
    ("csv-spectrum/newlines_crlf.csv", "utf-8", ",", 3, 3, 2),
    ("csv-spectrum/quotes_and_newlines.csv", "utf-8", ",", 2, 2, 2),
    ("csv-test-data/bad-header-less-fields.csv", "utf-8", ",", 1, 3, 2),
    ("csv-test-data/bad-header-more-fields.csv", "utf-8", ",", 1, 4, 2),
    ("csvkit/bad_skip_lines.csv", "utf-8", ",", 3, 3, 5),
    ("csvkit/dummy.tsv", "utf-8", "\t", 1, 3, 2),
    ("csvkit/join_no_header_row.csv", "utf-8", ",", 3, 3, 2),
    ("csvkit/mac_newlines.csv", "utf-8", ",", 2, 3, 2),
    ("csvkit/no_header_row.csv", "utf-8", ",", 1, 3, 1),
    ("csvkit/null_byte.csv", "utf-8", ",", 1, 3, 2),
    ("csvkit/sniff_limit.csv", "utf-8", ";", 1, 3, 2),
    ("csvkit/test_header_newline.csv", "utf-8", ",", 1, 3, 2),
    ("csvkit/test_latin1.csv", "cp1252", ",", 2, 3, 2),
    ("csvkit/test_utf16_little.csv", "utf-16-le", ",", 2, 3, 2),
    ("csvkit/Datagov_FY10_EDU_recp_by_State.csv", "utf-8", ",", 55, 9, 4),
    ("derived/formula_injection_in_header_and_label.csv", "utf-8", ",", 120, 2, 2),
    ("derived/sms_200_columns.csv", "utf-8", ",", 40, 200, 2),
    ("derived/sms_blank_header.csv", "utf-8", ",", 120, 3, 2),
    ("derived/sms_cp1252_pound.csv", "cp1252", ",", 120, 2, 2),
    ("derived/sms_cr_only.csv", "utf-8", ",", 120, 2, 2),
    ("derived/sms_duplicate_headers.csv", "utf-8", ",", 120, 3, 2),
    ("derived/sms_embedded_newlines.csv", "utf-8", ",", 120, 2, 2),
    ("derived/sms_pipe.csv", "utf-8", "|", 120, 2, 2),
    ("derived/sms_sep_line_excel.csv", "utf-8", ";", 120, 2, 2),
    ("derived/sms_tab_named_csv.csv", "utf-8", "\t", 120, 2, 2),
    ("derived/sms_unclosed_quote.csv", "utf-8", ",", 122, 2, 2),
    ("derived/sms_utf16be_bom.csv", "utf-16-be", ",", 120, 2, 2),
    ("derived/sms_utf16le_bom.csv", "utf-16-le", ",", 120, 2, 2),
    ("derived/sms_utf16le_nobom.csv", "utf-16-le", ",", 120, 2, 2),
    ("derived/sms_utf8_bom_crlf.csv", "utf-8", ",", 120, 2, 2),
    ("derived/waimai_big5_lossy.csv", "big5", ",", 100, 2, 2),
    ("derived/waimai_gbk.csv", "gb18030", ",", 100, 2, 2),
    ("messytables/excel_pasting.csv", "utf-8", ",", 16, 9, 5),
    ("messytables/long.csv", "utf-8", "", 4000, 1, 1),
    ("messytables/simple.psv", "utf-8", "|", 28, 6, 2),
    ("messytables/simple.ssv", "utf-8", ";", 6, 3, 2),
    ("messytables/spanish_chars.csv", "cp1252", ",", 115, 8, 2),
    ("messytables/sparse_with_column_errors.csv", "cp1252", ",", 2200, 4, 2),
    ("messytables/utf-16le_encoded.csv", "utf-16-le", ",", 327, 19, 2),
]
REFUSED = [
    ("csv-test-data/all-empty.csv", "is empty"),
    ("csv-test-data/bad-header-no-header.csv", "is empty"),
    ("csv-test-data/header-no-rows.csv", "has a header .* but no rows"),
    ("csvkit/dummy.csv.bz2", "a bzip2 archive"),
    ("csvkit/dummy.csv.gz", "a gzip archive"),
    ("csvkit/dummy.xls", "an old Excel file"),
    ("derived/not_a_csv_png_header.csv", "a PNG picture"),
    ("derived/only_newlines.csv", "is empty"),
    ("derived/sms_header_only.csv", "has a header .text, label. but no rows"),
    ("messytables/encrypted_no_password.xls", "old Excel file .* or one with a password"),
    ("messytables/simple.ods", "an OpenDocument file"),
    ("messytables/simple.unknown", "is empty"),
    ("messytables/simple.zip", "a ZIP archive"),
]


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_read_or_refused(name: str) -> None:
    start = time.process_time()
    try:
        table = read_table(FOLDER / name)
    except FgdesignError as error:
        refusal = str(error)
        assert Path(name).name in refusal or "pip install" in refusal
    else:
        assert len(table) == len(table.row_numbers) > 0
        assert table.frame.columns.is_unique
    assert time.process_time() - start < 10


@pytest.mark.parametrize(("name", "encoding", "delimiter", "rows", "columns", "first"), READ)
def test_what_comes_out(
    name: str, encoding: str, delimiter: str, rows: int, columns: int, first: int
) -> None:
    table = read_table(FOLDER / name)
    assert (table.encoding, table.delimiter) == (encoding, delimiter)
    assert table.frame.shape == (rows, columns)
    assert table.row_numbers[0] == first
    assert "\ufffd" not in "".join(map(str, table.frame.to_numpy().ravel()))


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_what_is_refused(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(FOLDER / name)


@pytest.mark.parametrize(
    "name",
    [
        "sms_blank_header", "sms_cr_only", "sms_duplicate_headers", "sms_pipe",
        "sms_sep_line_excel", "sms_tab_named_csv", "sms_utf16be_bom", "sms_utf16le_nobom",
        "sms_utf8_bom_crlf",
    ],
)  # fmt: skip
def test_the_same_rows_come_out_of_every_disguise(name: str) -> None:
    plain = load_dataset(FOLDER / "derived" / "sms_utf16le_bom.csv")
    assert load_dataset(FOLDER / "derived" / f"{name}.csv").sha256 == plain.sha256


@pytest.mark.parametrize(
    ("name", "rows", "labels", "note"),
    [
        (
            "sms_missing_labels",
            93,
            ("ham", "spam"),
            "27 rows have no label (first: row 2; written as NA,",
        ),
        ("sms_empty_texts", 92, ("ham", "spam"), "rows have an empty text (first: row 2)"),
        ("sms_numeric_labels_as_floats", 120, ("0", "1"), "written without '.0'"),
        (
            "sms_label_case_and_space_variants",
            120,
            ("HAM", "Ham", "SPAM", "Spam", "ham", "spam"),
            "look alike",
        ),
        ("sms_unclosed_quote", 122, ("ham", "spam"), "A quote opens and never closes (row 122)"),
        ("sms_one_row_in_a_class", 102, ("ham", "spam"), "fewer than 3 rows ('spam')"),
    ],
)
def test_what_is_noted_of_the_rows(name: str, rows: int, labels: tuple[str, ...], note: str) -> None:
    data = load_dataset(FOLDER / "derived" / f"{name}.csv")
    assert (len(data), data.labels) == (rows, labels)
    assert any(note in words for words in (*data.notes, *split(data).notes))


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match="Every label in column 'label' is 'ham'"):
        load_dataset(FOLDER / "derived" / "sms_single_class.csv")

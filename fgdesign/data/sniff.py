"""What bytes are: a known binary format, or text in some encoding. Knows nothing of cells and columns."""

from __future__ import annotations

import codecs
import io
import re
import zipfile

from fgdesign.data.documents import SAVE_AS
from fgdesign.data.escapes import escaped, is_mixed, paired
from fgdesign.data.letters import LEGACY
from fgdesign.errors import DataError

UNPACK = "Unpack it and give the file inside."

SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (  # offset, bytes, what it is, what to do
    (0, b"\x89PNG", "a PNG picture", "Give a table, such as a CSV file."),
    (0, b"\xff\xd8\xff", "a JPEG picture", "Give a table, such as a CSV file."),
    (0, b"GIF8", "a GIF picture", "Give a table, such as a CSV file."),
    (0, b"RIFF", "a sound, picture or film", "Give a table, such as a CSV file."),
    (4, b"ftyp", "a film or sound", "Give a table, such as a CSV file."),
    (0, b"%PDF", "a PDF document", "Copy its table into a spreadsheet and save that as CSV."),
    (0, b"{\\rtf", "an RTF document", SAVE_AS),
    (0, b"\xd0\xcf\x11\xe0", "an old Excel file (.xls) or one with a password", SAVE_AS),
    (0, b"\x1f\x8b", "a gzip archive", UNPACK),
    (0, b"BZh", "a bzip2 archive", UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (0, b"Obj\x01", "an Avro file", "Write the table as Parquet or CSV."),
    (0, b"$FL2@", "an SPSS file (.sav)", SAVE_AS),
    (0, b"<stata_dta>", "a Stata file (.dta)", SAVE_AS),
    (4, b"Standard Jet DB", "an Access database", "Export the table as CSV."),
    (4, b"Standard ACE DB", "an Access database", "Export the table as CSV."),
    (0, b"ARROW1", "an Arrow file", "Write the table as Parquet or CSV."),
    (0, b"\xff\xff\xff\xff", "an Arrow stream", "Write the table as Parquet or CSV."),
    (0, b"FEA1", "a Feather file", "Write the table as Parquet or CSV."),
    (0, b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS file (.sas7bdat)", SAVE_AS),
    (8, b"DUCK", "a DuckDB database", "Export the table as CSV."),
    (0, b"RDX", "a file of R", "Write the table by write.csv."),
    (0, b"\x72\x01\x01\0", "a Stata file (.dta)", SAVE_AS),
    (0, b"\x72\x02\x01\0", "a Stata file (.dta)", SAVE_AS),
    (0, b"\x73\x02\x01\0", "a Stata file (.dta)", SAVE_AS),
    (0, b"L\0\0\0\x01\x14\x02", "a shortcut of Windows, not the file itself", "Give the file it leads to."),
    (0, b"\x89HDF", "an HDF5 file", "Write the table as Parquet or CSV."),
    (0, b"\x93NUMPY", "a NumPy array", "Write the table as CSV."),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Fetch the file by: git lfs pull"),
    (0, b"\x7fELF", "a program", "Give a table, such as a CSV file."),
    (0, b"MZ\x90", "a program", "Give a table, such as a CSV file."),
)
DBASE = re.compile(rb"[\x03\x30\x83\x8b\xf5][\x00-\xff][\x01-\x0c][\x01-\x1f]....[\x21-\xff].", re.DOTALL)
PICKLE = re.compile(rb"\x80[\x02-\x05](\x95|c|\}|\]|q)")
READ_AS_CP1252 = codecs.BOM_UTF8.decode("cp1252").encode()  # a mark that an earlier program took for letters
BYTE_ORDER_MARKS = (
    (READ_AS_CP1252, "utf-8"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 1 << 16  # bytes that a guess looks at
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
FOREIGN = re.compile(r"[^\x00-\x7f]")
FOREIGN_BYTE = re.compile(rb"[\x80-\xff]")
INSIDE = re.compile(rb"(?<=[A-Za-z])[\x80-\xff]|[\x80-\xff](?=[A-Za-z])")  # a letter of a word
EBCDIC = 0.05  # share of bytes that are spaces in EBCDIC, which has no byte that is one elsewhere
SURE = 0.1  # confidence below which a few odd bytes say nothing
WESTERN = ("cp1252", "iso8859-1", "iso8859-15")  # the same letters, told apart by rare signs only
PLAINER = {"big5hkscs": "big5", "euc_jis_2004": "euc_jp"}  # what the same text usually calls itself


def file_kind(data: bytes, name: str) -> str:
    """ "parquet", "xlsx" or "text".

    Raises:
        DataError: the bytes are something that holds no readable table.
    """
    if data.startswith(b"PAR1"):
        return "parquet"
    if data.startswith(b"PK"):
        return _inside_zip(data, name)
    for offset, signature, what, advice in SIGNATURES:
        if data.startswith(signature, offset):
            raise DataError(f"{name} is {what}, whatever its ending. {advice}")
    if data.startswith(b"ORC") and data[-4:-1] == b"ORC":
        raise DataError(f"{name} is an ORC file. Write the table as Parquet or CSV.")
    if data[8:9] == b"{" and b'"dtype"' in data[:SAMPLE]:
        raise DataError(f"{name} is a file of weights (safetensors), not a table. Give a table, such as a CSV file.")
    if PICKLE.match(data):
        raise DataError(f"{name} is a Python pickle, which may run code; it is never read. Write it as CSV.")
    if DBASE.match(data) and data[int.from_bytes(data[8:10], "little") - 1 :][:1] == b"\r":
        raise DataError(f"{name} is a dBase table (.dbf). {SAVE_AS}")
    return "text"


def _inside_zip(data: bytes, name: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
            first = archive.read("mimetype")[:80] if "mimetype" in members else b""
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"{name} is a damaged ZIP archive or Excel file ({error}). Save or send it again."
        ) from None
    if "xl/workbook.xml" in members:
        return "xlsx"
    if any(member.endswith(".iwa") for member in members):
        raise DataError(f"{name} is an Apple Numbers document. Export it as CSV there.")
    if b"opendocument" in first:
        raise DataError(f"{name} is an OpenDocument file (.ods). {SAVE_AS}")
    if "word/document.xml" in members or "ppt/presentation.xml" in members or "xl/workbook.bin" in members:
        raise DataError(f"{name} is an Office document that is no .xlsx workbook. {SAVE_AS}")
    raise DataError(f"{name} is a ZIP archive. {UNPACK}")


def text_encoding(data: bytes, name: str) -> tuple[str, int]:
    """(encoding, bytes of the byte order mark to skip) of a text.

    A mark decides; then UTF-32 and UTF-16 by where their zero bytes stand; then escape sequences in ASCII; then UTF-8
    if it holds, or nearly holds, or holds for many lines;
    then the older encodings by how likely their letters are as words of a language (chardet); then cp1252.

    Raises:
        DataError: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            skip = len(mark)
            while data.startswith(mark, skip):  # written by two programs, one after the other
                skip += len(mark)
            return _truly(encoding, data[skip:]), skip
    encoding = _utf32(data[:SAMPLE]) or _utf16(data[:SAMPLE]) or escaped(data) or _utf8(data) or _legacy(data)
    if b" " not in data[:SAMPLE] and data[:SAMPLE].count(b"@") > EBCDIC * len(data[:SAMPLE]) and b"%" in data[:SAMPLE]:
        raise DataError(f"{name} seems to be EBCDIC, of a mainframe. Convert it, by: iconv -f CP500 -t UTF-8")
    shown = data[:SAMPLE].decode(encoding, "replace")
    controls = len(CONTROLS.findall(shown)) / max(1, len(shown))
    if controls > (0.3 if encoding.startswith("utf") else 0.02):
        raise DataError(
            f"{name} is no text: its bytes belong to some program. Give a table, such as a CSV file."
        )
    return encoding, 0


def _truly(encoding: str, data: bytes) -> str:
    """The encoding that a mark names, or another where no byte is as in that: then the mark was put there later."""
    if encoding.startswith("utf-16") and data and b"\0" not in data:
        return _utf8(data) or _legacy(data)
    if encoding == "utf-8" and not FOREIGN.search(data.decode(errors="ignore")):
        return _utf8(data) or _legacy(data)
    return encoding


def _utf32(sample: bytes) -> str:
    """UTF-32 without a mark: of four bytes the highest is always zero, the next nearly always."""
    zeros = [sample[place::4].count(0) for place in range(4)]
    characters = len(sample) // 4
    for encoding, high in (("utf-32-le", zeros[3:1:-1]), ("utf-32-be", zeros[:2])):
        if characters and high[0] >= characters and high[1] > 0.9 * characters and sum(zeros) < 3.5 * characters:
            return encoding
    return ""


def _utf16(sample: bytes) -> str:
    """UTF-16 without a mark: nearly all zero bytes are on one side, and there are many or line ends."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    zeros = even + odd
    for encoding, wrong, line_end in (("utf-16-le", even, b"\n\0"), ("utf-16-be", odd, b"\0\n")):
        if zeros and wrong <= zeros // 10 and (line_end in sample or zeros > 0.3 * len(sample)):
            return encoding
    return ""


def _utf8(data: bytes) -> str:
    """UTF-8, also with a few broken characters among at least four times as many good ones."""
    if _decodes(data, "utf-8"):
        return "utf-8"
    sample = paired(foreign_lines(data))
    text = sample.decode(errors="replace")
    bad = text.count("\ufffd")
    good = len(FOREIGN.findall(text)) - bad
    return "utf-8" if good and (good >= 4 * bad or is_mixed(sample)) else ""


def _legacy(data: bytes) -> str:
    """The encoding whose letters make the likeliest words; cp1252 or latin-1 where there is too little to tell."""
    import chardet

    sample = foreign_lines(data)
    found = chardet.detect(sample, compat_names=False, include_encodings=LEGACY)
    named = found["encoding"] if (found["confidence"] or 0) >= SURE else None
    encoding = "" if named is None else codecs.lookup(named).name
    if encoding and encoding not in WESTERN:
        plainer = PLAINER.get(encoding, encoding)
        return plainer if _decodes(sample, plainer) else encoding
    if _decodes(data, "cp1252"):
        return "cp1252"
    inside = len(INSIDE.findall(sample))
    return "mac-roman" if inside > len(FOREIGN_BYTE.findall(sample)) // 2 else "latin-1"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def foreign_lines(data: bytes) -> bytes:
    """The first lines that have bytes beyond ASCII; in all encodings here a line break is one byte."""
    sample = bytearray()
    for line in io.BytesIO(data.replace(b"\r", b"\n")):
        if not line.isascii():
            sample += line
        if len(sample) >= SAMPLE:
            break
    return bytes(sample[: 2 * SAMPLE])

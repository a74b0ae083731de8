"""What bytes are: a known binary format, or text in some encoding. Knows nothing of cells and columns."""

from __future__ import annotations

import codecs
import io
import re
import zipfile

from fgdesign.data.letters import LEGACY
from fgdesign.errors import DataError

SAVE_AS = "Open it in the program it comes from and save it as CSV (UTF-8)."
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
    (0, b"\x89HDF", "an HDF5 file", "Write the table as Parquet or CSV."),
    (0, b"\x93NUMPY", "a NumPy array", "Write the table as CSV."),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Fetch the file by: git lfs pull"),
    (0, b"\x7fELF", "a program", "Give a table, such as a CSV file."),
    (0, b"MZ\x90", "a program", "Give a table, such as a CSV file."),
)
PICKLE = re.compile(rb"\x80[\x02-\x05](\x95|c|\}|\]|q)")
MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|table|svg|\?xml)\b", re.IGNORECASE)

WRITTEN = (  # forms that other programs write, what they are, what to do
    (re.compile(rb"(?:%[^\n]*\n|\s)*+@relation\b", re.IGNORECASE), "an ARFF file of Weka", SAVE_AS),
    (re.compile(rb"\s*\[?\s*\{\s*'[^'\n]*'\s*:"), "Python dictionaries, which only look like JSON",
     "Write them by json.dumps, one per line, or as CSV."),
    (re.compile(rb"(?:---[^\n]*\n)?(?:#[^\n]*\n)*- [\w-]+:(?: [^\n]*)?\n +[\w-]+:(?: |\r?\n)"), "YAML",
     "Write its records as JSON or CSV."),
)  # fmt: skip
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
    if PICKLE.match(data):
        raise DataError(f"{name} is a Python pickle, which may run code; it is never read. Write it as CSV.")
    for form, what, advice in WRITTEN:
        if form.match(data[:SAMPLE]):
            raise DataError(f"{name} is {what}, not a table. {advice}")
    if MARKUP.match(data[:200]) or data.startswith(b"MIME-Version:"):
        raise DataError(f"{name} is a web page or XML document, not a table. {SAVE_AS}")
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

    A mark decides; then UTF-32 and UTF-16 by where their zero bytes stand; then UTF-8 if it holds, or nearly holds;
    then the older encodings by how likely their letters are as words of a language (chardet); then cp1252.

    Raises:
        DataError: the bytes are no text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            skip = len(mark)
            while data.startswith(mark, skip):  # written by two programs, one after the other
                skip += len(mark)
            return encoding, skip
    encoding = _utf32(data[:SAMPLE]) or _utf16(data[:SAMPLE]) or _utf8(data) or _legacy(data)
    if b" " not in data[:SAMPLE] and data[:SAMPLE].count(b"@") > EBCDIC * len(data[:SAMPLE]) and b"%" in data[:SAMPLE]:
        raise DataError(f"{name} seems to be EBCDIC, of a mainframe. Convert it, by: iconv -f CP500 -t UTF-8")
    shown = data[:SAMPLE].decode(encoding, "replace")
    controls = len(CONTROLS.findall(shown)) / max(1, len(shown))
    if controls > (0.3 if encoding.startswith("utf") else 0.02):
        raise DataError(
            f"{name} is no text: its bytes belong to some program. Give a table, such as a CSV file."
        )
    return encoding, 0


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
    text = _foreign_lines(data).decode(errors="replace")
    bad = text.count("\ufffd")
    good = len(FOREIGN.findall(text)) - bad
    return "utf-8" if good and good >= 4 * bad else ""


def _legacy(data: bytes) -> str:
    """The encoding whose letters make the likeliest words; cp1252 or latin-1 where there is too little to tell."""
    import chardet

    sample = _foreign_lines(data)
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


def _foreign_lines(data: bytes) -> bytes:
    """The first lines that have bytes beyond ASCII; in all encodings here a line break is one byte."""
    sample = bytearray()
    for line in io.BytesIO(data.replace(b"\r", b"\n")):
        if not line.isascii():
            sample += line
        if len(sample) >= SAMPLE:
            break
    return bytes(sample[: 2 * SAMPLE])

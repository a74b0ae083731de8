"""What a graph learns from: files, columns, tasks, splits and token ids. Knows nothing of torch."""

from fgdesign.data.columns import Columns, choose_columns
from fgdesign.data.dataset import Dataset, load_dataset
from fgdesign.data.encode import Encoded, buckets, encode
from fgdesign.data.read import read_table
from fgdesign.data.split import Splits, given_splits, join, split
from fgdesign.data.table import Table
from fgdesign.data.task import Task, detect_task

__all__ = [
    "Columns",
    "Dataset",
    "Encoded",
    "Splits",
    "Table",
    "Task",
    "buckets",
    "choose_columns",
    "detect_task",
    "encode",
    "given_splits",
    "join",
    "load_dataset",
    "read_table",
    "split",
]

r"""Read and write rows (dicts) in the formats that fine-tuning data comes in, one row at a time.

    for row in read_rows("pages.jsonl.zst"): ...
    write_rows("kept.parquet", rows)

in   .json (an array, or one object a line), .jsonl .jsonl.gz .jsonl.zst, .parquet, .arrow, a Hugging Face dataset
     folder (save_to_disk), or a glob of these, read in name order, without what steps leave beside their outputs
out  the same; a path without an ending is a dataset folder. A file appears whole, synced, or not at all

Text survives: lines end at \n only, "05" stays "05", lone surrogates are kept as JSON escapes, NUL and U+2028 as
they are.
"""

from common.rows.atomic import check_target, locked, replace_synced, replacing, write_text
from common.rows.files import SIDE_FILES, files_below, input_files
from common.rows.json_rows import dump_row
from common.rows.overlap import refuse_overlap
from common.rows.reading import count_rows, read_rows, rows_at, scan_rows, schema_of
from common.rows.tables import BATCH_ROWS
from common.rows.writing import RowWriter, write_rows

__all__ = [
    "BATCH_ROWS",
    "SIDE_FILES",
    "RowWriter",
    "check_target",
    "count_rows",
    "dump_row",
    "files_below",
    "input_files",
    "locked",
    "read_rows",
    "refuse_overlap",
    "replace_synced",
    "replacing",
    "rows_at",
    "scan_rows",
    "schema_of",
    "write_rows",
    "write_text",
]

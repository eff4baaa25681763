"""The samplesheet of a run folder: reading it whole with every problem at once, and drafting one."""

from cytomrd.samplesheet.sheet import (
    SAMPLESHEET_NAME,
    SampleRow,
    Samplesheet,
    find_fcs_files,
    format_samplesheet,
    load_samplesheet,
    read_samplesheet,
)

__all__ = [
    "SAMPLESHEET_NAME",
    "SampleRow",
    "Samplesheet",
    "find_fcs_files",
    "format_samplesheet",
    "load_samplesheet",
    "read_samplesheet",
]

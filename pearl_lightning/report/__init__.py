"""Report of one run, or comparison of several runs, as one self-contained HTML page."""

from pearl_lightning.report.page import make_page
from pearl_lightning.report.records import RunRecord, read_run

__all__ = ["RunRecord", "make_page", "read_run"]

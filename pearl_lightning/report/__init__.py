"""A run, or several side by side, as one HTML page that needs nothing else."""

from pearl_lightning.report.page import make_page
from pearl_lightning.report.records import RunRecord, read_run

__all__ = ["RunRecord", "make_page", "read_run"]

"""Generated parts of the documentation: tables, sentences and figures that follow from ``docs/results/data``."""

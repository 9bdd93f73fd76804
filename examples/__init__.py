"""Programs that use the library or the files that it writes."""

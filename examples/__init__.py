"""Programs that use what the library writes."""

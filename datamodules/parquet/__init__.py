"""DataModule of Parquet files that may be larger than memory, and their cache."""

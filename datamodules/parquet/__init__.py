"""Parquet files of numbers that may be larger than memory."""

"""Checks, scaling and reading of samples in batches, which all DataModules share."""

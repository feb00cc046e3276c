"""How samples are checked, scaled and read in batches: what all DataModules share."""

"""Gene expression of single cells."""

"""DataModule of the gene expression of single cells, and its normalisation."""

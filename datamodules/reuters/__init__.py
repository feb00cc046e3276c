"""DataModule of Reuters news and readers of its corpora, Reuters-21578 and RCV1."""

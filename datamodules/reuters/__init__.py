"""Reuters news: the 21578 collection and RCV1."""

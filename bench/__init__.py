"""Measures relay against its peers: the same work, on the same machine, in the same run."""

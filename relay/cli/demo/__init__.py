"""`relay demo`: shows tracking, signing and bounces end to end on loopback."""

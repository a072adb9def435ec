"""Rolling windows: how many messages may leave in any span of time, and when the next one may."""

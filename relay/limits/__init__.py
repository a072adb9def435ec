"""Rolling windows: rate limits, and the next time at which one more message is allowed."""

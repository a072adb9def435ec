"""The durable queue: messages and entries, retry schedule, dispatch, settling, and the runner."""

"""One relay, put together: built, started, reloaded and stopped."""

"""Configuration: TOML in, frozen settings out; every fault at once with file, line and what would be right."""

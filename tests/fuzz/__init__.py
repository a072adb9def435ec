"""Coverage-guided fuzzing of the parsers that meet strangers' octets: `make fuzz`."""

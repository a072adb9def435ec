"""The reported cases of the shared data, tried on this checkout: `make cases`."""

"""What users install, installed: image, Debian package, chart, wheel. `make packages` runs these tests."""

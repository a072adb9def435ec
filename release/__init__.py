"""What makes a release: reproducible files, a bill of materials, an audit of the dependencies."""

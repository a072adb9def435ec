"""The console: pages for the operators of a running relay, made on the server and readable without scripts."""

"""Formats of posts: each turns records into the body and header fields of one post."""

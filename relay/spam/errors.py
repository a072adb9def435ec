"""The fault of a spam filter."""


class FilterError(Exception):
    """The filter gave no result; the text is the reason."""

"""The files of one rendering of a large message."""

from dataclasses import dataclass

from relay.content_file import ContentFile, ContentWriter


@dataclass(frozen=True, slots=True)
class ContentFiles:
    """The stored content, and the file for the rendered one."""

    source: ContentFile
    target: ContentWriter

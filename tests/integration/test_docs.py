"""Every example of README.md and docs/ runs as it stands, against a real relay on loopback."""

import shutil
from pathlib import Path

import pytest

from tests.documentation import PAGES, blocks_of, text_of
from tests.servers.documented_relay import documented_relay

RUN = ("sh", "console", "python")

RUNNING = [page for page in PAGES if any(block.language in RUN and block.runs for block in blocks_of(text_of(page)))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUNNING)
async def test_the_examples_do_what_the_page_shows(page: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    blocks = [block for block in blocks_of(text_of(page)) if block.runs]
    prepared = not any("serve" in block.markers for block in blocks)
    missing = {program for block in blocks if (program := block.markers.get("needs")) and not shutil.which(program)}
    # The path of a Unix socket has at most 107 octets.
    folder: Path = tmp_path_factory.mktemp("docs")
    async with documented_relay(folder, prepared=prepared) as relay:
        for block in blocks:
            if block.markers.get("needs") in missing:
                continue
            try:
                await relay.run(block)
            except AssertionError as error:
                pytest.fail(f"{page}, line {block.line}: {error}")
    if missing:
        pytest.skip(f"all other examples ran; some need {', '.join(sorted(missing))}")

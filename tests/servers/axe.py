"""axe-core in a page of the browser: what it finds against WCAG 2.2 A and AA, and its best practices."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.servers.chromium import Chromium

RUN = """
axe.run(document, %s).then(found => found.violations.flatMap(
    one => one.nodes.map(node => `${one.id}: ${node.target.join(' ')}: ${node.failureSummary}`)))
"""


@cache
def script() -> str:
    """Return the script; skip the test where it is not installed."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    root = subprocess.run((npm, "root", "--global"), capture_output=True, text=True, check=True).stdout.strip()
    file = Path(root) / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip("axe-core is not installed: npm install --global axe-core")
    return file.read_text("utf-8")


async def violations(browser: Chromium, *, only: str = "") -> list[str]:
    """Return the violations of the page, of all rules or of one; each with its element and what would be right."""
    if not await browser.ask("'axe' in window"):
        await browser.call("Runtime.evaluate", expression=script())
    options = {"resultTypes": ["violations"]} | ({"runOnly": [only]} if only else {})
    run = RUN % json.dumps(options)
    answer = await browser.call("Runtime.evaluate", expression=run, awaitPromise=True, returnByValue=True)
    assert "exceptionDetails" not in answer, answer
    found: list[str] = answer["result"]["value"]
    return found

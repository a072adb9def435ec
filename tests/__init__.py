"""The tests. RELAY_TEST_WITHOUT_NATIVE=1 hides the compiled code, so that its twins in Python do the work."""

import os
import sys

if os.environ.get("RELAY_TEST_WITHOUT_NATIVE"):
    for name in ("relay.mail._native", "relay.rewrite._native"):
        sys.modules[name] = None  # type: ignore[assignment]

# The helpers' assertions show what they compared, as those of the tests do. Commands run them without pytest.
if pytest := sys.modules.get("pytest"):
    pytest.register_assert_rewrite("tests.servers", "tests.abuse")

"""Pure decisions about a submitted message: who may send it, and the policy frozen in its row."""

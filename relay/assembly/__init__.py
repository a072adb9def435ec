"""How the parts of a running relay are put together, side by side; `relay.app` joins the sides."""

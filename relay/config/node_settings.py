"""The settings of one of several nodes on this machine, which one configuration file describes. Pure."""

from pathlib import Path

from relay.config.settings import Settings

NODES_FOLDER = "nodes"
"""Folder in data_dir with the data directories of the nodes after the first."""


def node_dir(data_dir: Path, number: int) -> Path:
    """Return the data directory of a node. The first one has that of the configuration."""
    return data_dir if number == 1 else data_dir / NODES_FOLDER / str(number)


def settings_of_node(settings: Settings, number: int) -> Settings:
    """Return the settings of a node, counted from 1.

    All nodes share the ports of mail and tracker, and the log. Consoles, API and metrics are those of the first node,
    which also has the admin socket of the configuration. The others have one of that file name in their own data
    directories.
    """
    update: dict[str, object] = {"reuse_port": True}
    if number == 1:
        return settings.replaced({"server": settings.server.model_copy(update=update)})

    update["data_dir"] = node_dir(settings.server.data_dir, number)
    log_file = settings.log_file
    return settings.replaced(
        {
            "server": settings.server.model_copy(update=update),
            "log": settings.log.model_copy(update={"file": "" if log_file is None else str(log_file.absolute())}),
            "admin": settings.admin.model_copy(update={"address": "", "socket": Path(settings.admin.socket).name}),
            "console": settings.console.model_copy(update={"address": ""}),
            "api": settings.api.model_copy(update={"address": ""}),
            "metrics": settings.metrics.model_copy(update={"address": ""}),
        }
    )

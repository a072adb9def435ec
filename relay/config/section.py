"""What every section of the settings is made of."""

from pydantic import BaseModel, ConfigDict

from relay.config.values import HostPort, OptionalListenAddress, parse_host_port


class Section(BaseModel):
    """A table of the configuration: frozen, and an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Listening(Section):
    """Something that listens on "host:port"; the empty address turns it off."""

    address: OptionalListenAddress = ""

    @property
    def host(self) -> str:
        """Host name or IP address to bind, without brackets; "" when off."""
        return self._parsed.host

    @property
    def port(self) -> int:
        """TCP port to bind; 0 lets the system choose one."""
        return self._parsed.port

    @property
    def _parsed(self) -> HostPort:
        return parse_host_port(self.address) if self.address else HostPort("", 0)

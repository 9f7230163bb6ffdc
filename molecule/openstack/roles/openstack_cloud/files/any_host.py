"""ML2 mechanism driver of a cloud without layer 2 agents: binds every port on any host and says that it is active."""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api

DETAILS = {portbindings.CAP_PORT_FILTER: True, portbindings.OVS_HYBRID_PLUG: False}


class AnyHost(api.MechanismDriver):
    """Says yes to all."""

    def initialize(self):
        """There is nothing to set up."""

    @property
    def connectivity(self):
        """What a bound port can do."""
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context):
        """The first segment will do."""
        for segment in context.segments_to_bind[:1]:
            context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OVS, DETAILS, status=constants.PORT_STATUS_ACTIVE)

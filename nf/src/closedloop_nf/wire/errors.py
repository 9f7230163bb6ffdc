"""The one error that every parser of this package raises, and the closed set of its reasons."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an input was refused. The values are metric labels: short, few, and never text from the network."""

    TRUNCATED = "truncated"
    """The input ends before a header, a message or an option does."""
    VERSION = "version"
    """The first four bits of a packet are not 6."""
    HEADER_LENGTH = "header_length"
    """A length field contradicts the header's type (RFC 6275 section 9.2: Parameter Problem code 0 at `offset`)."""
    TRAILING_DATA = "trailing_data"
    """Octets follow a header that ends the packet."""
    PAYLOAD_PROTO = "payload_proto"
    """The Mobility Header is not the last one (RFC 6275 section 9.2: Parameter Problem code 0 at `offset`)."""
    OPTION_LENGTH = "option_length"
    """An option's length contradicts its type, or is zero where it must not be."""
    OPTION_TRUNCATED = "option_truncated"
    """An option reaches past the end of what holds it."""
    OPTION_DUPLICATE = "option_duplicate"
    """An option that may occur once occurs twice."""
    OPTION_DISCARD = "option_discard"
    """Unknown destination option with high bits 01 (RFC 8200 section 4.2): discard silently."""
    OPTION_PROBLEM = "option_problem"
    """The same with 10: discard and send Parameter Problem code 2 at `offset`."""
    OPTION_PROBLEM_UNICAST = "option_problem_unicast"
    """The same with 11: as 10, but only where the destination was not a multicast address."""
    HEADER_DUPLICATE = "header_duplicate"
    """An extension header occurs more often than RFC 8200 section 4.1 allows."""
    HEADER_ORDER = "header_order"
    """An extension header stands where it must not."""
    FRAGMENT = "fragment"
    """A fragment; reassembly is the kernel's business."""
    ROUTING_TYPE = "routing_type"
    """A routing header other than type 2 that still has segments left (RFC 8200 section 4.4: Parameter Problem code 0 at `offset`)."""
    ROUTING_SEGMENTS = "routing_segments"
    """A type 2 routing header whose Segments Left is not 1 (RFC 6275 section 6.4)."""
    ADDRESS_COUNT = "address_count"
    """A list of addresses does not fill the space it claims."""
    BAD_ADDRESS = "bad_address"
    """A field holds an address of a kind it must not hold."""
    MESSAGE_CODE = "message_code"
    """An ICMPv6 message whose Code must be 0 has another."""


class ParseError(ValueError):
    """The input is not what the format says.

    reason: member of the closed set above.
    offset: octets from the start of the parser's input to the field at fault; what an ICMPv6 Parameter Problem points at once the
        caller has added where its input began in the packet.
    """

    def __init__(self, reason: Reason, offset: int = 0) -> None:
        super().__init__(f"{reason.value} at octet {offset}")
        self.reason = reason
        self.offset = offset

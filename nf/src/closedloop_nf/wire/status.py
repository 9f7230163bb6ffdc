"""Status codes of Binding Acknowledgement and Binding Error, and other small registries of the Mobility Header."""

from __future__ import annotations

from enum import IntEnum


class MobilityType(IntEnum):
    """MH Type (RFC 6275 section 6.1, RFC 5142 section 4.1)."""

    BINDING_REFRESH_REQUEST = 0
    HOME_TEST_INIT = 1
    CARE_OF_TEST_INIT = 2
    HOME_TEST = 3
    CARE_OF_TEST = 4
    BINDING_UPDATE = 5
    BINDING_ACKNOWLEDGEMENT = 6
    BINDING_ERROR = 7
    HOME_AGENT_SWITCH = 12


class BindingStatus(IntEnum):
    """Status of a Binding Acknowledgement (RFC 6275 section 6.1.8, RFC 4285 section 4). Below 128 the Binding Update was accepted."""

    ACCEPTED = 0
    ACCEPTED_PREFIX_DISCOVERY = 1
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    HOME_REGISTRATION_NOT_SUPPORTED = 131
    NOT_HOME_SUBNET = 132
    NOT_HOME_AGENT = 133
    DUPLICATE_ADDRESS = 134
    SEQUENCE_OUT_OF_WINDOW = 135
    EXPIRED_HOME_NONCE = 136
    EXPIRED_CARE_OF_NONCE = 137
    EXPIRED_NONCES = 138
    REGISTRATION_TYPE_CHANGE = 139
    ID_MISMATCH = 144
    """MIPV6-ID-MISMATCH: the replay protection timestamp is not acceptable."""
    MESSAGE_ID_REQUIRED = 145
    """MIPV6-MESG-ID-REQD: the replay protection option is missing."""
    AUTHENTICATION_FAILED = 146
    """MIPV6-AUTH-FAIL: the authenticator does not verify."""
    INVALID_CARE_OF_ADDRESS = 174


class BindingErrorStatus(IntEnum):
    """Status of a Binding Error (RFC 6275 section 6.1.9)."""

    UNKNOWN_BINDING = 1
    """A Home Address option came without a binding."""
    UNKNOWN_MH_TYPE = 2


class AuthenticationSubtype(IntEnum):
    """Subtype of the mobility message authentication option (RFC 4285 section 5)."""

    MN_HA = 1
    MN_AAA = 2

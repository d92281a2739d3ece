"""The tables of the networks. A configuration knows them by name."""

from iso8583.dialects.by_name import BY_NAME as BY_NAME

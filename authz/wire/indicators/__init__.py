"""What networks say in elements of their own."""

from authz.wire.indicators.readers import READERS as READERS
from authz.wire.indicators.said import NOTHING as NOTHING
from authz.wire.indicators.said import Indicators as Indicators

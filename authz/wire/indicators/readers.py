"""What networks say in elements of their own: whether more is to come, what else would do.

The standard leaves open how a request says that its amount is an estimate, that it raises an
earlier one, or that the terminal takes less than it asked for. Each network has its own place
for each, so there is one reader for each network here, and all say the same.

    network      estimate, final      increment             less will do     life-cycle id
    generic      DE 60.10 = 2, 3      DE 90 in a 0100       DE 60.10 = 1, 3  none
    visa         60.10 = 2, 3         63.3 = 3900           60.10 = 1, 3     62.2
    mastercard   61.7 = 4; 48.61.5    61.7 = 4 with 48.63   48.61.1 = 1      DE 63 and 15; 48.63
    postilion    as generic           as generic            as generic       127.2, told in 127.11
    iso93        DE 24 = 101 …        DE 24 = 104 …, 187    none             none

Each is looked for only where its element is there, and no further than it reaches. What is
broken on the way is a BadElement.

Source: docs/networks.md, which tells where each was read, and what is a reading only.
"""

from collections.abc import Callable

from authz.wire.indicators.generic import of_1993, of_generic
from authz.wire.indicators.mastercard import of_mastercard
from authz.wire.indicators.postilion import of_postilion
from authz.wire.indicators.said import Indicators
from authz.wire.indicators.visa import of_visa
from iso8583.message import Message

READERS: dict[str, Callable[[Message], Indicators]] = {
    "generic": of_generic,
    "visa": of_visa,
    "mastercard": of_mastercard,
    "postilion": of_postilion,
    "iso93": of_1993,
}

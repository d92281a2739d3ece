"""Card and account profiles as the hot state keeps them: MessagePack arrays."""

import msgspec

from rules.facts import AccountProfile, CardProfile

write_profile = msgspec.msgpack.Encoder().encode
read_account = msgspec.msgpack.Decoder(AccountProfile).decode
read_card = msgspec.msgpack.Decoder(CardProfile).decode

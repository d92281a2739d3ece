-- Movements between accounts of the ledger in which no cardholder has a part: settlements, fees,
-- clearing items that are nobody's. Each message id comes once for good: the hot state knows it only
-- as long as an answer lives, and the second one is parked.
CREATE TABLE movement (
    message_id text PRIMARY KEY,
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    what text NOT NULL,
    reference text NOT NULL
);
CREATE INDEX movement_reference ON movement (reference);

-- What reading and retention need.

-- The hot state and the books are compared shard by shard.
CREATE INDEX account_shard ON account (shard);

-- What the hot state can be rebuilt from, beside the entries: of each thing the latest. It is told by
-- entries and by what comes with them in the stream (decision 0024), kept in the same transaction.

-- Whose books these are. A store that is rebuilt gets this id again; `rebuilt` counts how often, so
-- that a writer that was at work meanwhile notices.
CREATE TABLE store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id text NOT NULL,
    pan_key text NOT NULL DEFAULT '', -- by which check the key of its cards is known again
    rebuilt bigint NOT NULL DEFAULT 0
);

ALTER TABLE account
    ADD COLUMN version bigint NOT NULL DEFAULT 0,
    ADD COLUMN profile bytea NOT NULL DEFAULT '\x';

CREATE TABLE card (
    card_id text NOT NULL,
    account_id text NOT NULL,
    card_key text NOT NULL, -- a keyed hash of its number: what the directory finds it by
    version bigint NOT NULL,
    profile bytea NOT NULL,
    PRIMARY KEY (account_id, card_id)
) WITH (fillfactor = 85);
CREATE INDEX card_id ON card (card_id);

-- Its record as the hot state packed it; NULL where it is gone: taken in, or withdrawn.
ALTER TABLE "authorization" ADD COLUMN record bytea;

-- The answer that the entry's message got, where it stands in no record: its life in seconds, a
-- blank, and the string as it was stored.
ALTER TABLE journal_entry ADD COLUMN answer bytea;

-- Counters that rose because a request was declined, of which no record tells. A withdrawal of the
-- request takes them away.
CREATE TABLE decline (
    message_id text PRIMARY KEY,
    account_id text NOT NULL,
    counters bytea NOT NULL, -- MessagePack: counter, scale, end, size of each
    ends_s bigint NOT NULL   -- when the last of them does
);
CREATE INDEX decline_account ON decline (account_id);
CREATE INDEX decline_end ON decline (ends_s);

-- Referrals that wait for a person. The facts are the body of the entry.
CREATE TABLE open_review (
    message_id text NOT NULL,
    account_id text NOT NULL,
    card_id text NOT NULL,
    at_s bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (account_id, message_id)
);

-- What a shard counted: totals of networks' business days, and cases by what became of them.
CREATE TABLE tally (
    shard smallint NOT NULL,
    name text NOT NULL, -- 't:<network>/<day>/<currency>/<kind>' | 'reviews:<what>'
    count bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (shard, name)
) WITH (fillfactor = 85);

-- Networks' business days, counted from 1970.
CREATE TABLE business_day (
    network text PRIMARY KEY,
    in_force bigint NOT NULL,
    ended bigint NOT NULL,
    at_s bigint NOT NULL, -- of the last cut-over
    moves bigint NOT NULL
);

-- By what engines judge: each version, with what it changed.
CREATE TABLE judgement (
    version bigint PRIMARY KEY,
    body bytea NOT NULL
);

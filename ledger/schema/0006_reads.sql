-- What reading and retention need.

-- The hot state and the books are compared shard by shard.
CREATE INDEX account_shard ON account (shard);

-- Retention: months of the journal that are put away leave their sums, and the end of each chain.
-- Their partitions go to a schema of their own, whole; who wants the room dumps and drops them there.
CREATE SCHEMA IF NOT EXISTS ledger_archive;

-- Each time that something was put away.
CREATE TABLE retention (
    number bigint PRIMARY KEY,
    before_ms bigint NOT NULL CHECK (before_ms > 0), -- entries from here on are kept
    months text NOT NULL,    -- that were put away: '2026_05 2026_06'
    entries bigint NOT NULL,
    postings bigint NOT NULL,
    sums bytea NOT NULL,     -- digest of all that is in `carried` since
    at timestamptz NOT NULL DEFAULT now()
);

-- Where the chain of each shard begins since: at the link after this one.
CREATE TABLE anchor (
    shard smallint PRIMARY KEY,
    seq bigint NOT NULL,
    digest bytea NOT NULL
);

-- Of each account of the ledger, the sum of its lines that were put away.
CREATE TABLE carried (
    program text NOT NULL,
    currency text NOT NULL,
    role text NOT NULL,
    subject text NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (program, currency, role, subject)
);
CREATE INDEX carried_subject ON carried (subject) WHERE subject <> '';

-- From when on all entries are there; 0 where nothing was ever put away.
CREATE FUNCTION kept_from_ms() RETURNS bigint LANGUAGE sql STABLE AS
    'SELECT coalesce(max(before_ms), 0) FROM retention';

-- All that ever moved: what is kept, and what was put away in one sum for each account.
CREATE VIEW moved AS
    SELECT program, currency, role, subject, amount_minor FROM posting
    UNION ALL
    SELECT program, currency, role, subject, amount_minor FROM carried;

CREATE OR REPLACE VIEW trial_balance AS
    SELECT program, currency, role, subject, sum(amount_minor)::bigint AS balance_minor, count(*) AS lines
    FROM moved GROUP BY program, currency, role, subject;

-- The digest of `carried`: whoever alters a sum is seen.
CREATE FUNCTION carried_digest() RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(coalesce(string_agg(
        sha256(convert_to(concat_ws(E'\x1f', program, currency, role, subject, amount_minor), 'UTF8')), ''::bytea
        ORDER BY program COLLATE "C", currency COLLATE "C", role COLLATE "C", subject COLLATE "C"
    ), ''::bytea)) FROM carried
$$;

CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON retention
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON anchor
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON carried
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

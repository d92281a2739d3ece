-- The books. docs/ledger.md says what each table is; decisions 0020 to 0023 say why.
--
-- Money is added to, never changed: journal_entry and posting refuse UPDATE, DELETE and TRUNCATE,
-- also on their partitions. What can be told from them (account, balance, authorization) is kept
-- beside them for speed, and `authz ledger verify` tells it again.

-- One row for each shard of the journal: how far its chain has come. Its row is what a batch moves
-- last, so whatever is at or below `seq` is closed.
CREATE TABLE shard (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 1023),
    seq bigint NOT NULL DEFAULT 0,
    digest bytea NOT NULL DEFAULT '\x',
    stream_id text NOT NULL DEFAULT '0-0', -- where the stream was then; a position, never a key
    at_ms bigint NOT NULL DEFAULT 0,       -- of the newest entry, by the store's clock
    gate_entries bigint NOT NULL DEFAULT 0, -- the chain of entries that are no account's,
    gate_digest text NOT NULL DEFAULT ''    -- as the hot state has it
);

-- Every entry of the journal, verbatim.
CREATE TABLE journal_entry (
    at_ms bigint NOT NULL,          -- by the store's clock, since 1970
    id bytea NOT NULL,              -- digest of shard, envelope and body
    shard smallint NOT NULL,
    seq bigint NOT NULL,            -- its place in the shard's chain, from 1
    kind text NOT NULL,
    verdict text NOT NULL,
    message_id text NOT NULL,
    authorization_id text NOT NULL, -- '' where there is none
    account_id text NOT NULL,       -- '' where it is no account's
    postings smallint NOT NULL,     -- how many lines it has
    envelope bytea NOT NULL,
    body bytea NOT NULL,
    digest bytea NOT NULL,          -- the link of the chain
    PRIMARY KEY (at_ms, id)
) PARTITION BY RANGE (at_ms);
CREATE UNIQUE INDEX journal_entry_place ON journal_entry (shard, seq, at_ms);
CREATE INDEX journal_entry_message ON journal_entry (message_id);
CREATE INDEX journal_entry_account ON journal_entry (account_id, at_ms);
CREATE INDEX journal_entry_authorization ON journal_entry (authorization_id)
    WHERE authorization_id <> '' AND authorization_id <> message_id;

-- The lines of entries. A debit is above zero. An account's name is program, currency, role, subject.
CREATE TABLE posting (
    at_ms bigint NOT NULL,
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    line smallint NOT NULL,
    program text NOT NULL,
    currency text NOT NULL,
    role text NOT NULL,
    subject text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (shard, seq, line, at_ms)
) PARTITION BY RANGE (at_ms);

-- Cardholders' accounts, as the books know them. Each entry changes a row here and in `balance`: half
-- of a page is left free for that, so that the new row fits beside the old and no index is touched.
CREATE TABLE account (
    account_id text PRIMARY KEY,
    shard smallint NOT NULL,
    program text NOT NULL,
    currency text NOT NULL,
    credit_line_minor bigint NOT NULL,
    created boolean NOT NULL,
    entries bigint NOT NULL, -- the chain of its entries, as the hot state has it: equal
    digest text NOT NULL     -- numbers here and there are equal histories, byte for byte
) WITH (fillfactor = 50);

-- Their money by currency: the sum of what entries moved, and what the hot state told last.
CREATE TABLE balance (
    account_id text NOT NULL,
    currency text NOT NULL,
    posted_minor bigint NOT NULL,
    held_minor bigint NOT NULL,
    told_posted_minor bigint NOT NULL,
    told_held_minor bigint NOT NULL,
    PRIMARY KEY (account_id, currency)
) WITH (fillfactor = 50);

-- Authorizations, their whole life. `paid` is what left the card in all, and whose it is.
CREATE TABLE "authorization" (
    authorization_id text PRIMARY KEY,
    account_id text NOT NULL,
    card_id text NOT NULL,
    currency text NOT NULL,
    network text NOT NULL,
    held_minor bigint NOT NULL,
    paid_minor bigint NOT NULL,
    fees_minor bigint NOT NULL,
    cross_border_minor bigint NOT NULL,
    converted_minor bigint NOT NULL,
    "foreign" text NOT NULL,        -- '978:1000 392:5': owed to the network where we converted
    approved boolean NOT NULL,
    taken_in_by text NOT NULL,
    acts text NOT NULL,             -- '<kind>:<message id>' of each that approved or moved
    first_at_ms bigint NOT NULL,
    last_at_ms bigint NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX authorization_account ON "authorization" (account_id);

-- What could not be told: kept whole, for a person. Money in here is missing from the books.
CREATE TABLE parked (
    id bytea PRIMARY KEY,
    shard smallint NOT NULL,
    stream_id text NOT NULL,
    reason text NOT NULL,
    fields bytea NOT NULL, -- the fields of the stream entry, as a MessagePack map
    parked_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    note text NOT NULL DEFAULT ''
);
CREATE INDEX parked_open ON parked (parked_at) WHERE resolved_at IS NULL;

-- What was told, and should be looked at: a gap before it, a body that says nothing.
CREATE TABLE notice (
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    what text NOT NULL,
    account_id text NOT NULL,
    details text NOT NULL,
    PRIMARY KEY (shard, seq, what)
);

-- The ordered feed of events: which entries became visible together. A reader who remembers
-- (tx, position) and reads only what is below every transaction under way misses nothing.
CREATE TABLE feed (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    shard smallint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL
);
CREATE INDEX feed_order ON feed (tx, position);

CREATE VIEW event AS
    SELECT f.tx, f.position, e.shard, e.seq, e.at_ms, e.kind, e.verdict, e.message_id,
           e.authorization_id, e.account_id
    FROM feed f
    JOIN journal_entry e ON e.shard = f.shard AND e.seq BETWEEN f.first_seq AND f.last_seq
    WHERE f.tx < pg_snapshot_xmin(pg_current_snapshot());

-- The trial balance: every account of the ledger.
CREATE VIEW trial_balance AS
    SELECT program, currency, role, subject, sum(amount_minor)::bigint AS balance_minor, count(*) AS lines
    FROM posting GROUP BY program, currency, role, subject;

-- What the database refuses by itself ------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: the books are only added to', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- Entries come in their order, without a hole, behind what is closed.
CREATE FUNCTION check_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT shard, min(seq) AS low, max(seq) AS high, count(DISTINCT seq) AS many, count(*) AS rows
            FROM added GROUP BY shard
        ) a LEFT JOIN shard s USING (shard)
        WHERE s.seq IS NULL OR a.low <> s.seq + 1 OR a.high <> s.seq + a.many OR a.rows <> a.many
    ) THEN
        RAISE EXCEPTION 'journal_entry: not the next of its shard' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

-- Each entry sums to zero in each currency, and none that is closed gets a line more.
CREATE FUNCTION check_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added GROUP BY shard, seq, currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'posting: an entry is not balanced' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (
        SELECT FROM (SELECT shard, min(seq) AS low FROM added GROUP BY shard) a
        LEFT JOIN shard s USING (shard)
        WHERE s.seq IS NULL OR a.low <= s.seq
    ) THEN
        RAISE EXCEPTION 'posting: the entry is closed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

-- A chain only grows: by entries that are there, with all of their lines, to a link that is theirs.
CREATE FUNCTION refuse_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'shard: a chain only grows' USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- All shards of a batch at once: a function for each was a fifth of what a small batch costs. Always
-- by the indexes: the plan is made once, and may be made while the tables are empty.
CREATE FUNCTION check_heads() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM heads_before b JOIN heads_after a USING (shard)
        CROSS JOIN LATERAL (
            SELECT count(*) AS entries, coalesce(sum(postings), 0) AS lines,
                bool_or(seq = a.seq AND digest = a.digest) AS is_linked
            FROM journal_entry WHERE shard = a.shard AND seq > b.seq AND seq <= a.seq
        ) e
        CROSS JOIN LATERAL (
            SELECT count(*) AS lines FROM posting WHERE shard = a.shard AND seq > b.seq AND seq <= a.seq
        ) p
        WHERE a.seq > b.seq
            AND (e.entries <> a.seq - b.seq OR e.lines <> p.lines OR e.is_linked IS NOT TRUE)
    ) THEN
        RAISE EXCEPTION 'shard: entries or lines are missing' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION check_new_shard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq <> 0 OR NEW.digest <> '\x' THEN
        RAISE EXCEPTION 'shard: a chain begins at its start' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER head BEFORE UPDATE ON shard FOR EACH ROW
    WHEN (NEW.shard <> OLD.shard OR NEW.seq < OLD.seq OR (NEW.seq = OLD.seq AND NEW.digest <> OLD.digest))
    EXECUTE FUNCTION refuse_head();
CREATE TRIGGER checked AFTER UPDATE ON shard REFERENCING OLD TABLE AS heads_before NEW TABLE AS heads_after
    FOR EACH STATEMENT EXECUTE FUNCTION check_heads();
CREATE TRIGGER start BEFORE INSERT ON shard FOR EACH ROW EXECUTE FUNCTION check_new_shard();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON shard FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- On the tables, and on each partition for whoever names that.
CREATE FUNCTION guard(target regclass, checked_by text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', target);
    EXECUTE format('CREATE TRIGGER checked AFTER INSERT ON %s REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION %I()', target, checked_by);
END $$;

SELECT guard('journal_entry', 'check_entries');
SELECT guard('posting', 'check_postings');

-- The partitions of a month, where they are not there yet. The month is that of a time in ms, UTC.
-- One that was put away (0006_reads) stays away: what comes of it has no place, so it is refused.
CREATE FUNCTION open_month(at_ms bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', to_timestamp(at_ms / 1000.0) AT TIME ZONE 'UTC');
    name text := to_char(first, 'YYYY_MM');
    low bigint := extract(epoch FROM first) * 1000;
    high bigint := extract(epoch FROM first + interval '1 month') * 1000;
    parent text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('authz ledger months'));
    IF low < kept_from_ms() THEN
        RETURN;
    END IF;
    FOREACH parent IN ARRAY ARRAY['journal_entry', 'posting'] LOOP
        IF to_regclass(format('%I', parent || '_' || name)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
                parent || '_' || name, parent, low, high);
            PERFORM guard(format('%I', parent || '_' || name)::regclass,
                CASE parent WHEN 'posting' THEN 'check_postings' ELSE 'check_entries' END);
        END IF;
    END LOOP;
END $$;

-- Settlement batches. Every line of the ledger on a network's account is in one batch, once, or
-- behind the cursor of its shard; decision 0026 says why so, docs/settlement.md what it is for.

-- How far the lines of each shard were taken. Below it nothing is ever looked at again.
CREATE TABLE settlement_cursor (
    shard smallint PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0
);

-- What is settled together. Amounts are minor units of `currency`; above zero the network owes us.
CREATE TABLE settlement_batch (
    id text PRIMARY KEY,
    network text NOT NULL,
    program text NOT NULL,
    currency text NOT NULL,
    cycle_date date NOT NULL,       -- the business day of its cut-off
    closes_at_ms bigint NOT NULL,   -- the cut-off
    settles_on date NOT NULL,       -- when the money moves: so many business days later
    days smallint NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed', 'settled', 'reconciled')),
    opened_at_ms bigint NOT NULL,
    closed_at_ms bigint,
    settled_at_ms bigint,           -- by the store's clock, of the journal entry that settled it
    reconciled_at_ms bigint,
    items bigint NOT NULL DEFAULT 0,
    debit_minor bigint NOT NULL DEFAULT 0,        -- what the network owes us, added up
    credit_minor bigint NOT NULL DEFAULT 0,       -- what we owe it; not below zero either
    net_minor bigint GENERATED ALWAYS AS (debit_minor - credit_minor) STORED,
    fee_items_minor bigint NOT NULL DEFAULT 0,    -- of the net: the network's own fees
    -- Told beside items and no part of the net, in millionths of a minor unit; above zero is ours.
    interchange_micro bigint NOT NULL DEFAULT 0,
    fees_micro bigint NOT NULL DEFAULT 0,
    told_items bigint NOT NULL DEFAULT 0,         -- of which something was told
    uncounted_fees bigint NOT NULL DEFAULT 0,     -- told, in another currency or without a direction
    expected_micro bigint NOT NULL DEFAULT 0,     -- by our own table, where nothing was told
    -- What the bank moved, and the entry that says so.
    moved_minor bigint,
    moved_currency text,
    booked_interchange_minor bigint, -- income by it, of the batch's currency; as told, unless a person
    booked_fees_minor bigint,        -- said another number
    settled_shard smallint,
    settled_seq bigint,
    UNIQUE (network, program, currency, closes_at_ms, settles_on)
) WITH (fillfactor = 85);
CREATE INDEX settlement_batch_unsettled ON settlement_batch (closes_at_ms) WHERE status IN ('open', 'closed');
CREATE INDEX settlement_batch_date ON settlement_batch (cycle_date);

-- Lines of the ledger on a network's account, each in its batch. One `settles` its batch: then all
-- of its lines sum to zero.
CREATE TABLE settlement_line (
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    line smallint NOT NULL,
    batch_id text NOT NULL,         -- checked with its status, a page at a time, below
    settles boolean NOT NULL,
    at_ms bigint NOT NULL,
    what text NOT NULL,             -- the kind of the entry; of a movement, what it is
    authorization_id text NOT NULL,
    reference text NOT NULL,        -- an ARN, or a movement's reference
    bin text NOT NULL,              -- the first six digits, where they are known
    mcc text NOT NULL,
    amount_minor bigint NOT NULL,
    interchange_micro bigint NOT NULL,
    fees_micro bigint NOT NULL,
    told boolean NOT NULL,
    uncounted_fees smallint NOT NULL,
    expected_micro bigint NOT NULL,
    -- What stands in the FX position of another currency against it, where we converted.
    counter_currency text NOT NULL,
    counter_minor bigint NOT NULL,
    PRIMARY KEY (shard, seq, line)
);
CREATE INDEX settlement_line_batch ON settlement_line (batch_id, at_ms, shard, seq, line);

-- By which source a batch was converted, and what every source would have made of it.
CREATE TABLE fx_route (
    batch_id text PRIMARY KEY REFERENCES settlement_batch,
    source text NOT NULL,
    into_currency text NOT NULL,
    rate text NOT NULL,
    amount_minor bigint NOT NULL,   -- of the batch's currency
    converted_minor bigint NOT NULL,
    cost_minor bigint NOT NULL,
    offers jsonb NOT NULL           -- source, rate, converted, cost, moved; the best first
);

-- What networks counted, row by row of their files, and how it compares with our batches.
CREATE TABLE network_total (
    file_id text NOT NULL,          -- SHA-256 of the file's bytes
    row int NOT NULL,
    compared_at_ms bigint NOT NULL,
    network text NOT NULL,
    currency text NOT NULL,
    cycle_date date NOT NULL,
    told jsonb NOT NULL,            -- by name, minor units or items
    batches text[] NOT NULL,        -- that it speaks of
    differences jsonb NOT NULL,     -- name, told, ours
    PRIMARY KEY (file_id, compared_at_ms, row)
);
CREATE INDEX network_total_batches ON network_total USING gin (batches);

-- A batch's settlement is found by its place.
CREATE INDEX movement_place ON movement (shard, seq);

-- What the database refuses by itself ------------------------------------------------------

CREATE FUNCTION check_settlement_cursor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.shard <> OLD.shard OR NEW.seq < OLD.seq THEN
        RAISE EXCEPTION 'settlement_cursor: only goes forward' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_settlement_batch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    order_of text[] := ARRAY['open', 'closed', 'settled', 'reconciled'];
    step int := array_position(order_of, NEW.status) - array_position(order_of, OLD.status);
BEGIN
    IF step NOT IN (0, 1) THEN
        RAISE EXCEPTION 'settlement_batch: a status goes one step forward' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.id, NEW.network, NEW.program, NEW.currency, NEW.cycle_date, NEW.closes_at_ms, NEW.settles_on, NEW.days, NEW.opened_at_ms)
        <> (OLD.id, OLD.network, OLD.program, OLD.currency, OLD.cycle_date, OLD.closes_at_ms, OLD.settles_on, OLD.days, OLD.opened_at_ms)
    THEN
        RAISE EXCEPTION 'settlement_batch: what it is does not change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT (OLD.status = 'open' AND NEW.status = 'open') AND
        (NEW.items, NEW.debit_minor, NEW.credit_minor, NEW.fee_items_minor, NEW.interchange_micro, NEW.fees_micro, NEW.told_items, NEW.uncounted_fees, NEW.expected_micro)
        <> (OLD.items, OLD.debit_minor, OLD.credit_minor, OLD.fee_items_minor, OLD.interchange_micro, OLD.fees_micro, OLD.told_items, OLD.uncounted_fees, OLD.expected_micro)
    THEN
        RAISE EXCEPTION 'settlement_batch: its sums are closed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status IN ('settled', 'reconciled') AND
        (NEW.closed_at_ms, NEW.settled_at_ms, NEW.moved_minor, NEW.moved_currency, NEW.booked_interchange_minor, NEW.booked_fees_minor, NEW.settled_shard, NEW.settled_seq)
        IS DISTINCT FROM (OLD.closed_at_ms, OLD.settled_at_ms, OLD.moved_minor, OLD.moved_currency, OLD.booked_interchange_minor, OLD.booked_fees_minor, OLD.settled_shard, OLD.settled_seq)
    THEN
        RAISE EXCEPTION 'settlement_batch: its settlement stands' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF step = 1 AND NEW.status = 'closed' AND (
        NEW.closed_at_ms IS NULL OR EXISTS (
            SELECT FROM (
                SELECT count(*) AS items, coalesce(sum(amount_minor), 0) AS net,
                    coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0) AS debit,
                    coalesce(sum(interchange_micro), 0) AS interchange,
                    coalesce(sum(fees_micro), 0) AS fees, coalesce(sum(expected_micro), 0) AS expected
                FROM settlement_line WHERE batch_id = NEW.id
            ) l WHERE (l.items, l.net, l.debit, l.interchange, l.fees, l.expected) <>
                (NEW.items, NEW.debit_minor - NEW.credit_minor, NEW.debit_minor, NEW.interchange_micro, NEW.fees_micro, NEW.expected_micro)
        )
    ) THEN
        RAISE EXCEPTION 'settlement_batch: its sums are not those of its lines' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF step = 1 AND NEW.status = 'settled' AND (
        NEW.settled_at_ms IS NULL OR NEW.moved_minor IS NULL OR NEW.moved_currency IS NULL
        OR NEW.settled_shard IS NULL OR NEW.settled_seq IS NULL
        OR (SELECT sum(amount_minor) FROM settlement_line WHERE batch_id = NEW.id) <> 0
    ) THEN
        RAISE EXCEPTION 'settlement_batch: its lines do not sum to zero' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF step = 1 AND NEW.status = 'reconciled' AND NEW.reconciled_at_ms IS NULL THEN
        RAISE EXCEPTION 'settlement_batch: reconciled when' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_new_settlement_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'open' THEN
        RAISE EXCEPTION 'settlement_batch: begins open' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

-- Items go into open batches; what settles one, into a closed one. The lock keeps the status.
CREATE FUNCTION check_settlement_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM settlement_batch WHERE id IN (SELECT batch_id FROM added) ORDER BY id FOR SHARE;
    IF EXISTS (
        SELECT FROM added a LEFT JOIN settlement_batch b ON b.id = a.batch_id
        WHERE b.status IS DISTINCT FROM CASE WHEN a.settles THEN 'closed' ELSE 'open' END
    ) THEN
        RAISE EXCEPTION 'settlement_line: its batch takes no more' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER forward BEFORE UPDATE ON settlement_cursor FOR EACH ROW EXECUTE FUNCTION check_settlement_cursor();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON settlement_cursor FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER start BEFORE INSERT ON settlement_batch FOR EACH ROW EXECUTE FUNCTION check_new_settlement_batch();
CREATE TRIGGER forward BEFORE UPDATE ON settlement_batch FOR EACH ROW EXECUTE FUNCTION check_settlement_batch();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON settlement_batch FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement_line FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER checked AFTER INSERT ON settlement_line REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION check_settlement_lines();
CREATE TRIGGER unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON fx_route FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON network_total FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

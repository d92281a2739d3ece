-- Clearing files, and what became of each record. docs/clearing.md says how; decision 0025 says why.
--
-- A file is written down whole, in one transaction, before anything of it moves: so it is never half
-- a file, and a run that was killed is gone on with from here. Nothing in here is money: that is in
-- journal_entry and posting.

CREATE TABLE clearing_file (
    file_id text PRIMARY KEY,        -- SHA-256 of its bytes
    name text NOT NULL,              -- of the path that a person named, without its folder
    format text NOT NULL,            -- ipm | base2 | csv
    network text NOT NULL,
    network_ids text[] NOT NULL,     -- the network's own names of it
    business_date date,
    records int NOT NULL,            -- headers and trailers too
    items int NOT NULL,              -- that may be used
    refused int NOT NULL,            -- that may not
    others int NOT NULL,             -- addenda, texts
    source text NOT NULL,            -- who let it in
    sent_s bigint NOT NULL,          -- when its items count as sent, for good: seconds since 1970
    status text NOT NULL DEFAULT 'posting' CHECK (status IN ('posting', 'done')),
    planned_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);

CREATE TABLE clearing_item (
    file_id text NOT NULL REFERENCES clearing_file,
    record int NOT NULL,
    network text NOT NULL,
    item_key text NOT NULL,          -- the same in any file; '' of a record that cannot be used
    message_id text NOT NULL,        -- of the act or movement, for good
    phase smallint NOT NULL,         -- 0 what stands alone, 1 chargebacks, 2 what takes others back
    kind text NOT NULL,              -- '' of a record that cannot be used
    sign smallint NOT NULL,          -- 1: the cardholder, or we, are to pay
    transaction_minor bigint NOT NULL,
    transaction_currency text NOT NULL,
    settlement_minor bigint NOT NULL, -- what the network settles, the transaction where it tells none
    settlement_currency text NOT NULL,
    arn text NOT NULL,
    bin text NOT NULL,               -- the first six digits
    card_key text NOT NULL,          -- what its card is found by; never its number
    told bytea NOT NULL,             -- all that the record says but the card number, as MessagePack
    outcome text,                    -- ledger/clearing/outcome.py; NULL: not yet
    detail text NOT NULL DEFAULT '',
    account_id text NOT NULL DEFAULT '',
    authorization_id text NOT NULL DEFAULT '',
    billed_minor bigint NOT NULL DEFAULT 0, -- what the cardholder pays or gets, fees in it
    billed_currency text NOT NULL DEFAULT '',
    fee_minor bigint NOT NULL DEFAULT 0,
    cross_border_minor bigint NOT NULL DEFAULT 0,
    of_message text NOT NULL DEFAULT '', -- the online act that it agrees with; what it takes back;
                                     -- 'bill <card id>' where a person says who pays
    billed_by text NOT NULL DEFAULT '', -- the act that bills it to that card, of such a one
    concluded_at timestamptz,
    resolved_at timestamptz,         -- of one that was for a person
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (file_id, record)
);
-- An item has a part in the books once, in whatever file it comes again.
CREATE UNIQUE INDEX clearing_item_once ON clearing_item (network, item_key)
    WHERE outcome IS NULL OR outcome NOT IN ('repeated', 'refused');
-- An online act is agreed with once: the second record of it is one too many.
CREATE UNIQUE INDEX clearing_item_agrees ON clearing_item (network, of_message)
    WHERE outcome = 'agrees' AND of_message <> '';
CREATE INDEX clearing_item_arn ON clearing_item (network, arn) WHERE arn <> '';
CREATE INDEX clearing_item_waits ON clearing_item (file_id, phase, record) WHERE outcome IS NULL;
CREATE INDEX clearing_item_authorization ON clearing_item (authorization_id)
    WHERE authorization_id <> '';
CREATE INDEX clearing_item_account ON clearing_item (account_id) WHERE account_id <> '';
-- What waits for a person.
CREATE INDEX clearing_item_open ON clearing_item (concluded_at)
    WHERE resolved_at IS NULL AND (detail IN ('beyond', 'overdue') OR outcome IN
        ('cleared_late', 'forced', 'unmatched', 'differs', 'missing_online', 'refused'));
CREATE INDEX clearing_item_takes_back ON clearing_item (of_message) WHERE outcome = 'reversed';

-- What a record says does not change, nor what became of it once that is told; none goes.
CREATE FUNCTION check_clearing_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.file_id, OLD.record, OLD.network, OLD.item_key, OLD.message_id, OLD.kind, OLD.sign,
        OLD.transaction_minor, OLD.transaction_currency, OLD.settlement_minor,
        OLD.settlement_currency, OLD.card_key, OLD.told)
       IS DISTINCT FROM
       (NEW.file_id, NEW.record, NEW.network, NEW.item_key, NEW.message_id, NEW.kind, NEW.sign,
        NEW.transaction_minor, NEW.transaction_currency, NEW.settlement_minor,
        NEW.settlement_currency, NEW.card_key, NEW.told)
       OR (OLD.outcome IS NOT NULL AND OLD.outcome IS DISTINCT FROM NEW.outcome)
    THEN
        RAISE EXCEPTION 'clearing_item: told once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER told_once BEFORE UPDATE ON clearing_item
    FOR EACH ROW EXECUTE FUNCTION check_clearing_item();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON clearing_item
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON clearing_file
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the hot state can be rebuilt from.
SELECT 1;

-- Settlement batches.
SELECT 1;

-- Clearing files, and what became of each record.
SELECT 1;

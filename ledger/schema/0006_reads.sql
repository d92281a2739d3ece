-- What reading and retention need.
SELECT 1;

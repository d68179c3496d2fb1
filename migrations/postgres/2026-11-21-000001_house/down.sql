-- The ledger is never thrown away by a tool: the first migration has no way back. Restore a backup instead.
SELECT 1;

-- Nothing that was billed under this schema is thrown away by a tool: restore a backup instead.
SELECT 1;

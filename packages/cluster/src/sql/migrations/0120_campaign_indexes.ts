/** Indexes that runs and what is said of them lacked at size. Never edited after landing. */
export const sql = `
-- The newest runs of all campaigns; those of one campaign have run_campaign.
create index run_recent on run (started_at desc, id);
-- What a campaign's budget gets back: a run's messages that were provably not sent, without reading those that were.
create index delivery_unsent on delivery (run) where status in ('failed', 'expired', 'suppressed');
-- What was written since the last vacuum has no summary, and is read by whoever looks for what is old.
alter index decision_ledger_at set (autosummarize = on);
alter index event_seen_at set (autosummarize = on);
alter index event_import_moved set (autosummarize = on);
-- The log is pruned by its offsets.
drop index event_log_appended;
`

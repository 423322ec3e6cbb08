/** When a send was first begun. Never edited after landing. */
export const sql = `
-- Real time at which the send began whose outcome is known, under way or in doubt: repeats with its key leave it as it is, since
-- the provider knows the key for so long only.
alter table delivery_list add column send_begun_at timestamptz;
`

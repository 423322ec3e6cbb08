/** Limits of a provider account on messages. Never edited after landing. */
export const sql = `
-- Messages that the request of a slot carries: whoever takes over counts them as started, whatever became of it (R20).
alter table provider_slot add column messages integer not null default 0;
`

/** Unsubscribing from the mails of registered systems. Never edited after landing. */
export const sql = `
-- Addresses whose owners want no more of a system's mails on a channel, whoever they belong to. Looked up when a list is made.
-- Unlike a suppression it says nothing about the address: what carries no link to unsubscribe goes out all the same.
create table address_unsubscribed (
  channel text not null,
  -- of mail in lower case
  address text not null,
  system text not null,
  -- the delivery that carried the link
  delivery text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (channel, address, system)
);
-- Whether the request's mails carry a link to unsubscribe: those of batch class always, others where the template names it.
alter table mail_request add column links boolean not null default false;
update mail_request set links = true where class = 'batch';
`

/** What the channels need that keep nothing for us: spool, addresses, suppressions, notices. Never edited after landing. */
export const sql = `
-- Lists handed to channels that keep none themselves (SMTP, LINE, push, on-site). Written by the dispatcher's adapter.
create table courier_list (
  account text not null,
  id text not null,
  -- what is to be sent; emptied when it has been, since it is about people
  list jsonb,
  stored_at timestamptz not null default clock_timestamp(),
  -- noted before the first byte goes out: from then on its messages may have been sent
  begun_at timestamptz,
  ended_at timestamptz,
  results jsonb,
  primary key (account, id)
);
create index courier_list_age on courier_list (stored_at);

-- Which list carries, or carried, a mail to an address: no mail reaches an address twice over these channels (G10).
create table courier_message (
  account text not null,
  mail_key text not null,
  address text not null,
  list_id text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (account, mail_key, address)
);
create index courier_message_list on courier_message (account, list_id);
create index courier_message_age on courier_message (at);

-- Addresses to which nothing is sent any more on a channel, whoever they belong to. Addresses of mail in lower case.
create table address_suppression (
  channel text not null,
  address text not null,
  cause text not null check (cause in ('hard bounce', 'soft bounces', 'complaint', 'operator')),
  reason text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (channel, address)
);

-- Reports about addresses, each once by its key: soft bounces are counted from here.
create table address_report (
  key text primary key,
  channel text not null,
  address text not null,
  kind text not null check (kind in ('hard', 'soft', 'complaint')),
  at timestamptz not null
);
create index address_report_soft on address_report (channel, address, at) where kind = 'soft';

-- Where members are reached on channels that their profile does not name: LINE user ids, device tokens. An address belongs
-- to the member who registered it last.
create table contact (
  channel text not null,
  address text not null,
  member text not null,
  registered_at timestamptz not null default clock_timestamp(),
  primary key (channel, address)
);
create index contact_member on contact (member, channel, registered_at desc);

-- On-site notices. n counts per member without gaps in the order of commits, since its row is locked meanwhile: a reader who
-- has seen n has seen all before it.
create table inbox (
  member text primary key,
  last_n bigint not null
) with (fillfactor = 70);
create table notice (
  member text not null,
  n bigint not null,
  id text not null unique,
  title text not null,
  body text not null,
  at timestamptz not null default shop_now(),
  read_at timestamptz,
  primary key (member, n)
);
create index notice_unread on notice (member) where read_at is null;
`

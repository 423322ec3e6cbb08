/** Products, their stock, allocations and waitlist. Never edited after landing. */
export const sql = `
-- A product's settings and books, in pieces. Written by the Product actor alone.
create table product (
  id text primary key, version bigint not null, writer text not null, cell text not null, epoch integer not null,
  clock timestamptz not null, due_at timestamptz,
  name text not null,
  cart_ms integer not null,
  offer_ms integer not null,
  low_threshold integer not null,
  member_limit integer,
  lifetime_limit integer,
  -- purchases are counted per member: from the first lifetime limit on
  counting boolean not null,
  -- it was stated that nothing is left, and not yet that stock is back
  ran_out boolean not null,
  -- what came in less what was corrected away; negative when more was found missing than had ever come in
  taken_in bigint not null,
  -- promised but not there
  shortage bigint not null check (shortage >= 0),
  available bigint not null check (available >= 0),
  -- in carts, held ones included
  allocated bigint not null check (allocated >= 0),
  -- set aside for the waitlist
  offered bigint not null check (offered >= 0),
  -- bought and not returned
  sold bigint not null check (sold >= 0),
  -- number of the last allocation, and of the last place in line
  sequence bigint not null,
  place bigint not null,
  check (taken_in + shortage = available + allocated + offered + sold)
) with (fillfactor = 70);
create index product_due on product (cell, due_at) where due_at is not null;

-- A cart line that got stock. Open: allocated, held. Then sold, later settled (too old to be returned); or closed without a
-- sale. What is returned is in allocation_return.
create table allocation (
  product text not null,
  ticket uuid not null,
  member text not null,
  quantity integer not null check (quantity > 0),
  -- gapless per product, in the order of allocation
  sequence bigint not null,
  status text not null
    check (status in ('allocated', 'held', 'sold', 'settled', 'released', 'cancelled', 'timed_out', 'expired')),
  allocated_at timestamptz not null,
  expires_at timestamptz not null,
  -- while held: until when a checkout keeps it from lapsing
  held_until timestamptz,
  -- whose checkout holds it, or who bought it
  order_id text,
  -- when it was sold, or closed without a sale
  closed_at timestamptz,
  primary key (product, ticket)
) with (fillfactor = 80);
-- What an actor loads, and a member's cart.
create index allocation_live on allocation (product) where status in ('allocated', 'held', 'sold');
create index allocation_member on allocation (member) where status in ('allocated', 'held');

-- A place in line, and what became of it: offered, then confirmed (an allocation of the same ticket), lapsed or given up.
create table ticket_wait (
  product text not null,
  ticket uuid not null,
  member text not null,
  quantity integer not null check (quantity > 0),
  place bigint not null,
  status text not null
    check (status in ('waiting', 'offered', 'confirmed', 'lapsed', 'released', 'cancelled', 'timed_out')),
  since timestamptz not null,
  offered_until timestamptz,
  closed_at timestamptz,
  primary key (product, ticket)
) with (fillfactor = 80);
create index ticket_wait_live on ticket_wait (product) where status in ('waiting', 'offered');
create index ticket_wait_member on ticket_wait (member) where status in ('waiting', 'offered');

-- Tickets given up before they came: they must never hold stock (G6). Dropped when they cannot come any more.
create table ticket_tombstone (
  product text not null,
  ticket uuid not null,
  reason text not null,
  until_at timestamptz not null,
  primary key (product, ticket)
);

-- Pieces that came back. settled: the sale is too old for more, the actor need not know any longer.
create table allocation_return (
  product text not null,
  ticket uuid not null,
  return_id text not null,
  quantity integer not null check (quantity > 0),
  returned_at timestamptz not null,
  settled boolean not null,
  primary key (product, ticket, return_id)
);
create index allocation_return_live on allocation_return (product) where not settled;

-- The newest version of each source of stock figures: older ones change nothing.
create table stock_source (
  product text not null,
  source text not null,
  version bigint not null,
  primary key (product, source)
);

-- Pieces bought and not returned, per member, of products that have or had a lifetime limit.
create table member_bought (
  product text not null,
  member text not null,
  quantity bigint not null check (quantity > 0),
  primary key (product, member)
);
`

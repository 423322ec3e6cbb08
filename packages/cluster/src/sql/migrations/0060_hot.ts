/** Products that operators keep in cells of their own (CART-4), and finding all that live in one. Never edited after landing. */
export const sql = `
-- An operator's word that an actor is to have a cell of its own for as long as the row stands. Where it lives is in its own
-- row, written by its cell; the runners see to it that the two agree.
create table hot_mark (
  kind text not null,
  actor text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (kind, actor)
);

-- The few that have a cell of their own, for the timers and for whoever sees to their places (R8, R15).
create index product_hot on product (cell) where cell like 'hot-%';
`

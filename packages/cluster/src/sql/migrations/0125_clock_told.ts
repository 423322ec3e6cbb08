/** Whoever moves the shop's clock tells all processes, in the words of `actor/Nudge.ts`. Never edited after landing. */
export const sql = `
create function shop_clock_moved() returns trigger language plpgsql as $$
begin
  perform pg_notify('hikyaku_nudge', '|clock');
  return null;
end $$;
create trigger shop_clock_moved after update on shop_clock
  for each row when (old is distinct from new) execute function shop_clock_moved();
`

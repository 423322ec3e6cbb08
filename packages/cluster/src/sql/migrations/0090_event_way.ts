/** What an event costs on its way from the actor that states it to the aggregates. Never edited after landing. */
export const sql = `
-- A unit's events live for some ms: to compress them took more time than all else about them.
alter table outbox alter column happenings set storage external;

-- What is about no product of a known category or brand is found by neither: each index costs every event its share.
drop index member_activity_category;
drop index member_activity_brand;
create index member_activity_category on member_activity (type, category, member, day) where category is not null;
create index member_activity_brand on member_activity (type, brand, member, day) where brand is not null;
`
